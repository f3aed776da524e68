"""The reason of a cancellation reaches sales."""

from gateway.db.models import PlanChange
from tests.support.notified import NotifiedSystem, notify
from tests.support.world import World


def test_reason_of_a_cancellation_is_sent_once(sales: World, receiver: NotifiedSystem) -> None:
    api = sales.api()
    api.ok("POST", "/subscription", plan="free")
    api.add_card(sales.stripe)
    for reason in ({}, {"comment": "We need SAML."}):
        api.ok("PATCH", "/subscription", plan="plus")
        api.ok("DELETE", "/subscription", **reason)
    sales.settle()
    notify(sales)
    change = max(sales.rows(PlanChange), key=lambda each: each.created_at)
    [message] = receiver.verified()
    assert (message["type"], message["data"]) == (
        "cancellation_reason.given",
        {
            "organization_id": "org_1",
            "change_id": change.id,
            "plan": "plus",
            "feedback": None,
            "comment": "We need SAML.",
        },
    )
