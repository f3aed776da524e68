"""Keeping in step costs few calls to Stripe in ordinary operation."""

from datetime import UTC, datetime
from itertools import groupby

from gateway.db.models import UpcomingInvoice
from gateway.services.plan_changes.request import change_plan
from handlers import HANDLERS
from schemas.changes import ChangeCommand
from tests.stateful.convergence.expected import Expected
from tests.stateful.convergence.found import check_history, check_inbox, check_tables, rows
from tests.stateful.convergence.stepped_gateway import SteppedGateway
from tests.support.clock import DAY
from tests.support.json_types import Json

ORGANIZATIONS = [f"org_{number}" for number in range(1, 6)]
CARDS = dict.fromkeys(ORGANIZATIONS, "pm_card_visa") | {"org_5": "pm_card_chargeCustomerFail"}
CHANGES = {  # by day: the organization and its change
    10: ("org_2", ChangeCommand(plan="plus", quantity=3)),
    75: ("org_1", ChangeCommand(quantity=2)),
    140: ("org_3", ChangeCommand(plan="free")),
    141: ("org_3", ChangeCommand(plan="plus")),
    200: ("org_2", ChangeCommand(quantity=1)),
    260: ("org_4", ChangeCommand(plan="free")),
}


def pass_on_by_second(stage: SteppedGateway) -> None:
    """Deliver and drain the new events second by second, and then run the due jobs."""
    for _, events in groupby(stage.hear(), lambda event: event["created"]):
        for event in events:
            if event["type"] in HANDLERS:
                stage.deliver(event)
        stage.drain()
    stage.wait(31)
    for job in stage.due():
        stage.work(job)


def change(stage: SteppedGateway, organization: str, command: ChangeCommand) -> int:
    """Change the plan through the gateway, and return the number of calls to Stripe."""
    before = len(stage.line.calls)
    change_plan(stage.gateway, stage.caller(organization), command)
    return len(stage.line.calls) - before


def test_a_year_of_renewals_and_changes_costs_few_calls(stage: SteppedGateway) -> None:
    by_users = len(stage.line.calls)
    for organization, card in CARDS.items():
        by_users += change(stage, organization, ChangeCommand(plan="free", enroll=True))
        pass_on_by_second(stage)
        [customer] = [each for each in stage.read("/v1/customers") if each["name"] == organization]
        stage.account.give_card(customer["id"], card)
        pass_on_by_second(stage)
        by_users += change(stage, organization, ChangeCommand(plan="plus"))
        pass_on_by_second(stage)
    for day in range(365):
        if day in CHANGES:
            by_users += change(stage, *CHANGES[day])
        stage.wait(DAY)
        pass_on_by_second(stage)
    calls = len(stage.line.calls) - by_users
    assert len(stage.delivered) > 400
    assert calls / len(stage.delivered) < 0.2, f"{calls} calls for {len(stage.delivered)} events"
    print(f"{calls} calls for {len(stage.delivered)} events")  # noqa: T201 - reports the measurement
    expected = Expected(stage)
    check_inbox(stage)
    # A change of a subscription removes the charges calculated ahead, except those of a past billing date.
    outdated = expected.changed_since_announced()
    upcoming = {key: row for key, row in expected.tables["upcoming_invoices"].items() if key not in outdated}
    now = datetime.fromtimestamp(stage.clock(), UTC)
    past: dict[str, Json] = {
        row["subscription_id"]: {} for row in rows(stage, UpcomingInvoice) if row["billing_date"] <= now
    }
    check_tables(stage, expected, expected.tables | {"upcoming_invoices": upcoming | past})
    check_history(stage, expected)
