"""The main story is Free → Plus → Free. The gateway follows it from the API's answers and from webhooks."""

from gateway.db.models import PlanHistory
from tests.support.world import World


def test_organization_without_enrolment_is_on_free(world: World) -> None:
    details = world.api().ok("GET", "/subscription")
    assert (details["plan"], details["status"], details["version"]) == ("free", "none", 0)
    assert details["current_period"] is None
    assert details["payment_method"] is None


def test_the_story_from_free_to_plus_and_back(world: World) -> None:
    api = world.api()
    enrolled = api.ok("POST", "/subscription", plan="free")
    assert (enrolled["state"], enrolled["subscription"]["status"]) == ("applied", "active")
    api.add_card(world.stripe)

    quote = api.ok("POST", "/subscription/preview", plan="plus")
    upgraded = api.ok("PATCH", "/subscription", quote=quote["token"])
    assert (upgraded["state"], upgraded["subscription"]["plan"]) == ("applied", "plus")
    world.settle()
    assert world.plan_row().plan == "plus"
    cancelled = api.ok("DELETE", "/subscription")
    assert cancelled["subscription"]["plan"] == "free"
    world.settle()
    assert [row.after["plan"] for row in world.rows(PlanHistory)] == ["free", "plus", "free"]
