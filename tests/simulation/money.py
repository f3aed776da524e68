"""The money of each customer at Stripe."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from sqlalchemy import select, text

from gateway.db.models import Organization, PlanHistory
from tests.simulation.lives import Step
from tests.simulation.plan_costs import round_cents, sum_plans
from tests.simulation.usage_costs import Used, bound_cost, find_windows
from tests.support.json_types import Json

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

PLANS = "plans"
MOVED = text("""
    SELECT usage_events.id, usage_reports.moved_to FROM usage_events JOIN usage_reports ON usage_reports.id = report_id
""")


@dataclass
class Books:
    """What Stripe billed to each customer, and what it was worth."""

    world: "Simulation"
    lives: dict[str, list[Step]]

    def __post_init__(self) -> None:
        self.used = read_used(self.world)
        keys = {each.event_name: each.key for each in self.world.gateway.gateway.catalog.meters}
        meters = list(self.world.stripe.list_all("billing.meter"))
        self.meters = {each["id"]: keys[each["event_name"]] for each in meters}
        self.formulas = {keys[each["event_name"]]: each["default_aggregation"]["formula"] for each in meters}
        with self.world.gateway.gateway.database.transaction() as session:
            self.owners = dict(session.execute(select(Organization.stripe_customer_id, Organization.id)).all())
            self.noticed = defaultdict(list)
            for row in session.scalars(select(PlanHistory).order_by(PlanHistory.recorded_at)):
                self.noticed[row.organization_id].append(row.recorded_at.timestamp())

    def check(self, customer: str) -> None:
        """Check what one customer was billed, unless somebody else forgave a part of it."""
        check_received(self.world, customer)
        organization = self.owners.get(customer)
        if customer in self.world.others.forgave or organization is None:
            return
        amounts = list(self.list_billed(customer))
        billed: Counter[str] = Counter()
        for meter, amount in amounts:
            billed[meter] += amount
        lives = [life for life in self.lives.values() if life[0].after["customer"] == customer]
        # Stripe rounds each discount and each tax.
        cents = len(amounts) if any(find_id(life) in self.world.others.shares for life in lives) else 0
        self.check_plans(customer, billed[PLANS], lives, cents)
        for meter in self.meters.values():
            low, high = self.bound_usage(organization, meter, lives)
            said = f"{customer} was billed {billed[meter]} for {meter} worth {low} to {high}"
            assert low - cents <= billed[meter] <= high + cents, said

    def check_plans(self, customer: str, billed: int, lives: list[list[Step]], cents: int) -> None:
        """Check that exactly the time of each plan was billed, however often it changed, up to some ``cents``.

        What a refund returned is not credited again, so it may be billed without being used.
        """
        notes = self.world.stripe.list_all("credit_note", customer)
        billed -= sum(self.net_amount(each) for each in notes if each["status"] == "issued")
        worth = sum(self.share(life) * sum_plans(life, returns_unused=self.is_credited(life)) for life in lives)
        returned = sum(each["amount_refunded"] for each in self.world.stripe.list_all("charge", customer))
        said = f"{customer} was billed {billed} for plans worth {float(worth)}"
        assert worth - cents <= billed <= worth + returned + cents, said

    def net_amount(self, note: Json) -> int:
        """Return a credit note's total without the taxes on top. A note of an amount does not list its taxes."""
        invoice = self.world.stripe.engine.store.find("invoice", note["invoice"]) or {}
        on_top = sum(tax["amount"] for tax in invoice["total_taxes"] if tax["tax_behavior"] == "exclusive")
        return round_cents(Fraction(note["total"] * (invoice["total"] - on_top), invoice["total"] or 1))

    def share(self, life: list[Step]) -> Fraction:
        """Return the share of its prices that a subscription pays."""
        return self.world.others.shares.get(find_id(life), Fraction(1))

    def bound_usage(self, organization: str, meter: str, lives: list[list[Step]]) -> tuple[Fraction, Fraction]:
        """Return the least and the most that an organization's usage is worth, after discounts."""
        used = [each for each in self.used[organization] if each.meter == meter]
        least = most = Fraction(0)
        for life in lives:
            find_notice = partial(self.find_notice, organization)
            for window in find_windows(life, find_notice, bills_end=self.is_credited(life) or is_scheduled(life)):
                if self.meters[window.price["recurring"]["meter"]] == meter:
                    tiers = self.world.stripe.list_tiers(window.price)
                    low, high = bound_cost(window, tiers, self.formulas[meter], used)
                    least, most = least + self.share(life) * low, most + self.share(life) * high
        return least, most

    def find_notice(self, organization: str, at: int) -> int:
        """Return when the gateway knew what happened to an organization's subscription in second ``at``."""
        moments = self.noticed[organization]
        place = bisect_left(moments, at)
        return int(moments[place]) if place < len(moments) else at

    def is_credited(self, life: list[Step]) -> bool:
        """Return whether the gateway itself ended a subscription. It credits the unused time and bills the usage."""
        last, ended = life[-1].after, self.world.others.ended
        is_wanted = last["cancellation_details"]["reason"] == "cancellation_requested" and last["id"] not in ended
        return is_wanted and not is_scheduled(life)

    def list_billed(self, customer: str) -> Iterator[tuple[str, int]]:
        """Yield each amount on the customer's invoices or waiting for one, with its meter if it is usage.

        The amounts are after discounts and before the taxes that come on top.
        """
        items = {each["id"]: each for each in self.world.stripe.list_all("invoiceitem", customer)}
        for invoice in self.world.stripe.list_all("invoice", customer):
            if invoice["status"] != "void":
                for line in self.world.stripe.list_lines(invoice["id"]):
                    item = items.get(line["parent"][line["parent"]["type"]]["invoice_item"], line)
                    off = sum(each["amount"] for each in line["discount_amounts"])
                    yield self.find_meter(line["pricing"], item["metadata"]), line["amount"] - off
        for item in items.values():
            if item["invoice"] is None:
                yield self.find_meter(item["pricing"], item["metadata"]), self.discount(item)

    def discount(self, item: Json) -> int:
        """Return what the next invoice will ask for a pending item. The amount of a proration is after discounts."""
        if not item["discountable"] or item["parent"] is None:
            return int(item["amount"])
        subscription = item["parent"]["subscription_details"]["subscription"]
        return round_cents(item["amount"] * self.world.others.shares.get(subscription, Fraction(1)))

    def find_meter(self, pricing: Json | None, metadata: Json) -> str:
        """Return the meter of a price, or ``PLANS``. The gateway bills late usage without a price."""
        if (late := metadata.get("usage_of")) is not None:
            every = (each for life in self.lives.values() for step in life for each in step.after["items"]["data"])
            price = next(each["price"] for each in every if each["id"] == late)
        elif pricing is not None:
            price = self.world.stripe.engine.store.find("price", pricing["price_details"]["price"])
        else:
            return PLANS
        return self.meters.get((price["recurring"] or {}).get("meter"), PLANS)


def find_id(life: list[Step]) -> str:
    """Return the id of a subscription."""
    return str(life[0].after["id"])


def is_scheduled(life: list[Step]) -> bool:
    """Return whether a subscription ended as somebody had scheduled. Its usage is billed, and nothing is credited."""
    before, last = life[-1].before, life[-1].after
    return before is not None and before["cancel_at"] is not None and before["cancel_at"] <= (last["ended_at"] or 0)


def check_money(world: "Simulation", lives: dict[str, list[Step]]) -> None:
    """Check the books of each customer, in cents."""
    books = Books(world, lives)
    for customer in list(world.stripe.list_all("customer")):
        books.check(customer["id"])


def check_received(world: "Simulation", customer: str) -> None:
    """Check that invoices count exactly what was received as paid, and that each is paid, owed or given up."""
    invoices = list(world.stripe.list_all("invoice", customer))
    received = sum(each["amount_captured"] for each in world.stripe.list_all("charge", customer) if each["paid"])
    elsewhere = world.others.elsewhere[customer]
    paid = sum(each["amount_paid"] for each in invoices)
    for each in invoices:
        if each["status"] != "draft":
            assert each["amount_due"] == each["amount_paid"] + each["amount_remaining"], f"{each['id']} does not add up"
        is_written_off = (
            each["status"] == "uncollectible" and each["total"] < 0
        )  # the credit of an end, never finalized
        if each["status"] != "draft" and not is_written_off:
            # The rest of the total moved the customer's balance. Credit notes on paid invoices move it separately.
            due = each["total"] - each["pre_payment_credit_notes_amount"]
            moved = each["starting_balance"] - each["ending_balance"]
            assert each["amount_due"] == due + moved, (
                f"{each['id']} asks for {each['amount_due']}, and not {due + moved}"
            )
    assert received + elsewhere == paid, f"{customer}: {received} received, {elsewhere} elsewhere, invoices say {paid}"


def read_used(world: "Simulation") -> dict[str, list[Used]]:
    """Return what each organization used. Usage that came too late for its period counts later."""
    # The gateway deletes usage events after a year, and the checks are less than a year apart.
    world.moved |= {row.id: row.moved_to for row in world.gateway.gateway.database.fetch(MOVED, {})}
    moved = world.moved
    found = defaultdict(list)
    for event in world.used:
        number, organization, at = event["id"], event["organization_id"], event["at"]
        assert not event["is_certain"] or number in moved, f"{number} is lost"
        counts_at = int(moved_to.timestamp()) if (moved_to := moved.get(number)) is not None else at
        if number in moved:
            found[organization].append(
                Used(event["meter"], event["quantity"], counts_at, event["is_certain"], event["told_at"])
            )
    return found
