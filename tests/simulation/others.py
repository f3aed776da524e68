"""Everybody else: sales and other programs at Stripe's dashboard, and the gateway's operators."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any

from sqlalchemy import text

from gateway.errors import GatewayError, NotFound
from gateway.services import grants
from gateway.services.notifications import records
from gateway.services.plan_table.rebuild import rebuild_plan_table
from gateway.services.reconciliation.run import reconcile
from gateway.services.webhooks.replay import replay_events
from handlers import HANDLERS
from tests.support.json_types import Json

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

TERMS = 0.2
"""How often sales gives a discount, and how often a tax."""
RECENT_EVENTS = text("SELECT id FROM webhook_events WHERE payload IS NOT NULL ORDER BY received_at DESC, id LIMIT 40")
RECENT_NOTIFICATIONS = text("SELECT id FROM notifications ORDER BY position DESC LIMIT 20")


@dataclass
class Others:
    """People and programs that act on any organization."""

    world: "Simulation"
    random: Random

    def __post_init__(self) -> None:
        self.elsewhere: Counter[str] = Counter()
        """What each customer paid without Stripe."""
        self.meddled: set[str] = set()
        """The customers whose invoices or subscriptions somebody edited, so that the money no longer follows from the
        gateway's own rules."""
        self.forgave: set[str] = set()
        """The customers that somebody gave a part of their plans for nothing."""
        self.ended: set[str] = set()
        """The subscriptions that somebody ended without a credit."""
        self.shares: dict[str, Fraction] = {}
        """The share of its prices that each subscription with a discount or a tax pays. It is 1 for a tax alone."""

    @property
    def v1(self) -> Any:
        return self.world.stripe.v1

    def make_offers(self) -> None:
        """Let sales create a discount, a price of Enterprise, and a price of something that is no plan."""
        self.coupon = self.v1.coupons.create({"percent_off": 20, "duration": "forever"}).id
        terms: Json = {"currency": "usd", "recurring": {"interval": "month"}, "unit_amount": 90_000}
        terms["tax_behavior"] = self.world.taxes
        self.enterprise = self.v1.prices.create(terms | {"product": "konnect_enterprise"}).id
        self.workshop = self.v1.prices.create(terms | {"product_data": {"name": "Workshop"}}).id

    def give_terms(self, organization: str) -> None:
        """Give an organization that signed up this minute a discount, the tax of its country, or both."""
        terms: Json = {}
        if self.random.random() < TERMS:
            terms["discounts"] = [{"coupon": self.coupon}]
        if self.random.random() < TERMS:
            terms["automatic_tax"] = {"enabled": True}
        if not terms:
            return
        for customer in list(self.world.stripe.list_all("customer")):
            if customer["metadata"].get("organization_id") == organization:
                self.v1.customers.update(customer["id"], {"address": {"country": "DE"}})
                for each in list(self.world.stripe.list_all("subscription", customer["id"])):
                    self.v1.subscriptions.update(each["id"], terms)
                    self.shares[each["id"]] = Fraction(4, 5) if "discounts" in terms else Fraction(1)

    def act(self) -> None:
        """Do one thing to one organization."""
        if self.world.is_left_alone or self.random.random() < 0.3:
            self.operate()
        elif found := list(self.world.stripe.list_all("customer")):
            self.meddle(self.random.choice(found))
        self.world.note_activity()

    def meddle(self, customer: Json) -> None:
        """Act at Stripe's dashboard."""
        self.meddled.add(customer["id"])
        subscriptions = [
            each
            for each in self.world.stripe.list_all("subscription", customer["id"])
            if each["status"] not in ("canceled", "incomplete_expired")
        ]
        acts = (
            [self.change_subscription] * 5
            + [self.change_invoice] * 3
            + [self.refund, self.change_customer, self.add_another]
        )
        act = self.random.choice(acts)
        act(customer["id"], subscriptions)

    def change_subscription(self, customer: str, subscriptions: list[Json]) -> None:
        """Sell Enterprise, give another quantity, add an item, end the plan or pause the collection."""
        if not subscriptions:
            return
        subscription = self.random.choice(subscriptions)
        item = subscription["items"]["data"][0]["id"]
        edits: list[Json] = [
            {"items": [{"id": item, "price": self.enterprise, "quantity": 1}]},
            {"items": [{"id": item, "quantity": self.random.randrange(1, 4)}]},
            {"items": [{"id": item, "quantity": 2}], "proration_behavior": "always_invoice"},
            {"items": [{"price": self.workshop}]},
            {"cancel_at_period_end": True},
            {"cancel_at_period_end": False},
            {"metadata": {"note": str(self.random.randrange(9))}},
            {"pause_collection": {"behavior": self.random.choice(("void", "keep_as_draft"))}},
            {"pause_collection": ""},
            {"collection_method": "send_invoice", "days_until_due": 20},
            {"collection_method": "charge_automatically"},
            {"trial_end": int(self.world.clock()) + self.random.randrange(86_400, 20 * 86_400)},
        ]
        if self.random.random() < 0.1:
            self.ended.add(subscription["id"])
            pending = self.world.stripe.list_all("invoiceitem", customer)
            if any(each["invoice"] is None for each in pending):  # Stripe drops what waits for an invoice
                self.forgave.add(customer)
            self.world.try_at_stripe(lambda: self.v1.subscriptions.cancel(subscription["id"]))
            return
        edit = self.random.choice(edits)
        if edit.get("pause_collection"):
            self.forgave.add(customer)
        self.world.try_at_stripe(lambda: self.v1.subscriptions.update(subscription["id"], edit))

    def change_invoice(self, customer: str, _subscriptions: list[Json]) -> None:
        """Settle an invoice by hand, or write one."""
        v1 = self.v1.invoices
        if self.random.random() < 0.2:
            draft = v1.create({"customer": customer})
            if self.random.random() < 0.5:
                self.world.try_at_stripe(lambda: v1.delete(draft.id))
            return
        waiting = [
            each["id"]
            for each in self.world.stripe.list_all("invoice", customer)
            if each["status"] in ("draft", "open", "uncollectible")
        ]
        if waiting:
            invoice = self.random.choice(waiting)
            acts = (
                lambda: v1.pay(invoice),
                lambda: self.pay_elsewhere(customer, invoice),
                lambda: self.void(customer, invoice),
                lambda: v1.finalize_invoice(invoice),
                lambda: v1.mark_uncollectible(invoice),
            )
            self.world.try_at_stripe(self.random.choice(acts))

    def pay_elsewhere(self, customer: str, invoice: str) -> None:
        """Note that an invoice was paid without Stripe."""
        paid = self.v1.invoices.pay(invoice, {"paid_out_of_band": True})
        self.elsewhere[customer] += paid.amount_paid

    def void(self, customer: str, invoice: str) -> None:
        """Ask for nothing of an invoice."""
        self.v1.invoices.void_invoice(invoice)
        self.forgave.add(customer)

    def refund(self, customer: str, _subscriptions: list[Json]) -> None:
        """Give money back."""
        charges = [each for each in self.world.stripe.list_all("charge", customer) if each["paid"]]
        if charges:
            charge = self.random.choice(charges)
            given = self.random.choice(({}, {"amount": 100}))
            self.world.try_at_stripe(lambda: self.v1.refunds.create({"charge": charge["id"], **given}))

    def change_customer(self, customer: str, _subscriptions: list[Json]) -> None:
        """Edit the customer, detach a card or attach one."""
        if self.random.random() < 0.6:
            edit = self.random.choice(({"name": "Zenith"}, {"email": "a@example.test"}, {"balance": -500}))
            self.world.try_at_stripe(lambda: self.v1.customers.update(customer, edit))
            return
        cards = [each["id"] for each in self.world.stripe.list_all("payment_method", customer)]
        if cards and self.random.random() < 0.5:
            card = self.random.choice(cards)
            self.world.try_at_stripe(lambda: self.v1.payment_methods.detach(card))
        else:
            self.world.try_at_stripe(lambda: self.v1.payment_methods.attach("pm_card_visa", {"customer": customer}))

    def add_another(self, customer: str, subscriptions: list[Json]) -> None:
        """Create a second subscription beside the first."""
        if len(subscriptions) < 2:
            params = {"customer": customer, "items": [{"price": self.random.choice((self.enterprise, self.workshop))}]}
            self.world.try_at_stripe(lambda: self.v1.subscriptions.create(params))

    def operate(self) -> None:
        """Act as an operator of the gateway."""
        gateway = self.world.gateway
        often = (self.replay, self.notify_again, self.grant, self.grant, self.end_grant)
        act = self.random.choice((self.rebuild, self.reconcile, *often * 2))
        try:
            gateway.mortal(act)
        except GatewayError as error:
            self.world.refusals[error.code] += 1

    def rebuild(self) -> None:
        """Rebuild the plan table, which must not change it."""
        found = [str(each) for each in rebuild_plan_table(self.world.gateway.gateway, write=True)]
        assert found == [], found

    def reconcile(self) -> None:
        reconcile(self.world.gateway.gateway, HANDLERS, dry_run=self.random.random() < 0.3, say=lambda _: None)

    def replay(self) -> None:
        """Merge events once more."""
        known = self._list(RECENT_EVENTS)
        replay_events(self.world.gateway.gateway, self.random.sample(known, min(5, len(known))))

    def notify_again(self) -> None:
        """Send notifications once more."""
        known = self._list(RECENT_NOTIFICATIONS)
        records.replay(self.world.gateway.gateway, self.random.sample(known, min(3, len(known))))

    def _list(self, query: Any) -> list[str]:
        return [each for (each,) in self.world.gateway.gateway.database.fetch(query, {})]

    def grant(self) -> None:
        """Give an organization a plan for some days."""
        people = self.random.choice(self.world.people)
        until = self.world.clock.now() + timedelta(days=self.random.choice((1, 7, 20)))
        grants.add_grant(
            self.world.gateway.gateway, people.name, "plus", until=until, reason="a test", operator="operator"
        )

    def end_grant(self) -> None:
        grants.end_grant(self.world.gateway.gateway, self.random.choice(self.world.people).name, "operator")

    def end_grants(self) -> None:
        """End all grants, of which Stripe knows nothing."""
        for people in self.world.people:
            with suppress(NotFound):
                grants.end_grant(self.world.gateway.gateway, people.name, "operator")
