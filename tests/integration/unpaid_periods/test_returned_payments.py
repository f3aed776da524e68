"""Money that went back by a refund or a dispute is shown and never credited. A lost dispute stops purchases."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import requests

from gateway.db.models import Charge, PlanChange, PlanHistory
from gateway.db.session import Database
from gateway.services.mirror.refresh import refresh
from tests.integration.unpaid_periods.debtor import Debtor
from tests.support.json_types import Json


@pytest.fixture
def payer(renew: Callable[..., Debtor]) -> Debtor:
    """Return an organization with three units of Plus whose first renewal was paid a while ago."""
    found = renew(card="pm_card_visa", days=9, status="active")
    assert found.invoice().status == "paid"
    return found


def charge_of(payer: Debtor) -> str:
    return payer.world.stripe.v1.charges.list({"customer": payer.customer, "limit": 1}).data[0].id


def refund(payer: Debtor, amount: int) -> None:
    payer.world.stripe.v1.refunds.create({"charge": charge_of(payer), "amount": amount})
    payer.world.settle()


def dispute(payer: Debtor, status: str | None = None) -> str:
    """Dispute the last charge and end the dispute with ``status``. Return its id."""
    url = f"{payer.world.gateway.config.stripe_api_base}/_sandbox/disputes"
    created = requests.post(url, json={"charge": charge_of(payer)}, timeout=5)
    created.raise_for_status()
    found = str(created.json()["id"])
    if status is not None:
        requests.post(f"{url}/{found}", json={"status": status}, timeout=5).raise_for_status()
    payer.world.settle()
    return found


def shown(payer: Debtor) -> list[Json]:
    found: list[Json] = payer.details()["returned_payments"]
    return found


def given_back(payer: Debtor) -> int:
    """Return what the organization has to its credit, in pending items and on its balance."""
    return -sum(payer.pending()) - payer.balance()


def test_refund_is_shown_in_details_and_history(payer: Debtor) -> None:
    refund(payer, 4000)
    [returned] = shown(payer)
    assert (returned["invoice"], returned["refunded"], returned["dispute"]) == (payer.renewal, 4000, None)
    [newest, *_] = payer.api.ok("GET", "/subscription/history")["data"]
    assert newest["plan"]["returned_payments"] == [returned]


@pytest.mark.parametrize(("status", "state", "lost"), [(None, "open", 0), ("lost", "lost", 1), ("won", None, 0)])
def test_dispute_is_shown_until_it_is_won(payer: Debtor, status: str | None, state: str | None, lost: int) -> None:
    dispute(payer, status)
    found = shown(payer)
    assert [each["dispute"] for each in found] == ([state] if state else [])
    assert [each["lost"] for each in found] == ([lost * payer.invoice().amount_paid] if state else [])


def test_lost_dispute_stops_purchases_until_settled(payer: Debtor) -> None:
    lost = dispute(payer, "lost")
    assert payer.api.problem("PATCH", "/subscription", quantity=4) == (402, "payment_disputed")
    assert payer.details()["plan"] == "plus"
    payer.world.stripe.v1.disputes.update(lost, {"metadata": {"settled": "true"}})
    payer.world.settle()
    assert payer.api.ok("PATCH", "/subscription", quantity=4)["state"] == "applied"


def test_catalogue_can_suspend_the_plan(payer: Debtor) -> None:
    config = payer.world.gateway.config
    ranking = payer.world.gateway.catalog.keys
    strict = replace(
        payer.world.gateway,
        database=Database(config.database_url, plan_ranking=ranking, suspends_disputed=True),
    )
    charge = charge_of(payer)
    dispute(payer, "lost")
    [row] = payer.world.rows(Charge)
    with strict.database.transaction() as session:
        session.delete(session.get_one(Charge, row.id))
    refresh(strict, "charge", charge)
    strict.database.close()
    details = payer.details()
    assert (details["plan"], details["requested_plan"], details["standing"]) == ("free", "plus", "suspended")


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_leaving_credits_no_more_than_what_was_kept(payer: Debtor, share: float) -> None:
    paid = payer.invoice().amount_paid
    refund(payer, int(paid * share))
    payer.api.ok("DELETE", "/subscription")
    payer.world.settle()
    item = payer.world.stripe.v1.subscriptions.retrieve(payer.subscription)["items"].data[0]
    unused = (item.current_period_end - payer.stripe_time()) / (item.current_period_end - item.current_period_start)
    credit = payer.price * unused
    assert given_back(payer) == pytest.approx(max(0, credit - int(paid * share)), abs=20)


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_quote_credits_no_more_than_what_was_kept(payer: Debtor, share: float) -> None:
    refund(payer, int(payer.invoice().amount_paid * share))
    quote = payer.api.ok("POST", "/subscription/preview", plan="free")
    change = payer.api.ok("PATCH", "/subscription", quote=quote["token"])
    payer.run_withdrawal(change["id"])
    payer.world.settle()
    assert given_back(payer) == quote["credit"]
    with payer.world.gateway.database.transaction() as session:
        row = session.get_one(PlanChange, change["id"])
        assert row.quoted == row.charged


def test_leaving_after_a_lost_dispute_credits_nothing(payer: Debtor) -> None:
    dispute(payer, "lost")
    payer.api.ok("DELETE", "/subscription")
    payer.world.settle()
    assert (given_back(payer), payer.credited()) == (0, [])


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_refund_after_leaving_withdraws_the_credit(payer: Debtor, share: float) -> None:
    paid = payer.invoice().amount_paid
    payer.api.ok("DELETE", "/subscription")
    payer.world.settle()
    credit = given_back(payer)
    refund(payer, int(paid * share))
    assert given_back(payer) == max(0, credit - int(paid * share))


def test_dispute_after_leaving_withdraws_the_credit(payer: Debtor) -> None:
    payer.api.ok("DELETE", "/subscription")
    payer.world.settle()
    dispute(payer, "lost")
    assert (given_back(payer), payer.credited()) == (0, [])


def test_anothers_dispute_changes_nothing(payer: Debtor) -> None:
    v1 = payer.world.stripe.v1
    stranger = v1.customers.create({"name": "Somebody else"})
    card = v1.payment_methods.attach("pm_card_createDispute", {"customer": stranger.id})
    [sold] = v1.prices.list({"lookup_keys": ["konnect_plus_usd_month"]}).data
    v1.subscriptions.create({"customer": stranger.id, "items": [{"price": sold.id}], "default_payment_method": card.id})
    assert len(v1.disputes.list().data) == 1
    before = len(payer.world.rows(PlanHistory))
    payer.world.settle()
    assert (payer.world.rows(Charge), len(payer.world.rows(PlanHistory))) == ([], before)
