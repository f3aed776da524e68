"""An organization and the deployment that it buys from."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from stripe import Invoice, InvoiceLineItem

from gateway.catalog import Catalog, CatalogPlan, CatalogPrice, Charge
from gateway.db.models import PlanChange
from gateway.errors import NoChange
from gateway.services.operations.catalog_sync import sync_catalog
from gateway.services.plan_changes.charge_check import check_charge
from gateway.services.plan_changes.confirm import confirm_change
from gateway.services.plan_changes.request import change_plan
from gateway.services.quotes.preview import Quote, quote_change
from gateway.services.runtime import Caller
from schemas.changes import ChangeCommand
from tests.stateful.convergence.stepped_gateway import SteppedGateway, pass_on

ORGANIZATION = "org_1"
MINIMUM_CHARGE = 50  # for a card, in cents and in yen
CATALOG_SETTLES = 5  # seconds after which an answer about a price is certainly newer
Lines = Counter[tuple[str | None, int]]


@dataclass(frozen=True)
class Move:
    """A change, with Plus's new price (None keeps it), and the waits before the quote and before its confirmation."""

    quantity: int
    """0 means a change to Free."""
    price: int | None
    before: int
    thinking: int


@dataclass
class QuotingShop:
    """One organization with a valid card, at a deployment with its own price for Plus."""

    stage: SteppedGateway
    currency: str
    charge: Charge
    price: int
    percent_off: int = 0
    amount_off: int = 0
    tax: float = 0.0
    tax_included: bool = False

    def __post_init__(self) -> None:
        self.sell(self.price)
        change_plan(self.stage.gateway, self.caller, ChangeCommand(plan="free", enroll=True))
        [customer] = self.stage.account.v1.customers.list().data
        self.customer = customer.id
        self.stage.account.give_card(customer.id, "pm_card_visa")
        [subscription] = self.stage.account.v1.subscriptions.list().data
        self.subscription = subscription.id
        self.apply_terms()

    def apply_terms(self) -> None:
        """Give the subscription its discounts and its tax rate, as sales does."""
        v1 = self.stage.account.v1
        forever: Any = {"duration": "forever"}
        offers: list[Any] = [{"percent_off": self.percent_off}] if self.percent_off else []
        offers += [{"amount_off": self.amount_off, "currency": self.currency}] if self.amount_off else []
        coupons = [v1.coupons.create(offer | forever).id for offer in offers]
        terms: Any = {"discounts": [{"coupon": each} for each in coupons]} if coupons else {}
        if self.tax:
            rate = v1.tax_rates.create({"display_name": "VAT", "percentage": self.tax, "inclusive": self.tax_included})
            terms["default_tax_rates"] = [rate.id]
        if terms:
            v1.subscriptions.update(self.subscription, terms)
            pass_on(self.stage)
            self.stage.wait(1)

    @property
    def caller(self) -> Caller:
        return self.stage.caller(ORGANIZATION)

    def sell(self, price: int) -> None:
        """Change the price of Plus."""
        plans = (
            CatalogPlan(key="free", name="Free", description="", rank=0, prices=(self.priced("free", 0),)),
            CatalogPlan(
                key="plus",
                name="Plus",
                description="",
                rank=1,
                prices=(self.priced("plus", price),),
                max_quantity=100,
                charge=self.charge,
            ),
        )
        self.stage.gateway = replace(self.stage.gateway, catalog=Catalog(plans))
        list(sync_catalog(self.stage.gateway))

    def priced(self, plan: str, amount: int) -> CatalogPrice:
        return CatalogPrice(lookup_key=plan, currency=self.currency, unit_amount=amount, interval="month")

    def items(self) -> dict[str, tuple[str | None, int]]:
        """Return description and amount of every invoice item at Stripe by id, invoiced or pending."""
        found = self.stage.account.v1.invoice_items.list({"customer": self.customer, "limit": 100})
        return {item.id: (item.description, item.amount) for item in found.auto_paging_iter()}

    def invoices(self) -> dict[str, Invoice]:
        found = self.stage.account.v1.invoices.list({"customer": self.customer, "limit": 100})
        return {invoice.id: invoice for invoice in found.auto_paging_iter()}

    def next_invoice(self) -> Invoice:
        return self.stage.account.v1.invoices.create_preview({"subscription": self.subscription})

    def make(self, move: Move) -> None:
        """Request a quote, wait, confirm it, and compare it with the charge."""
        self.stage.wait(move.before)
        if move.price is not None:
            self.stage.wait(CATALOG_SETTLES)
            self.sell(move.price)
        plan, quantity = ("plus", move.quantity) if move.quantity else ("free", 1)
        try:
            quote = quote_change(self.stage.gateway, self.caller, plan, quantity)
        except NoChange:
            return
        items, invoices = self.items(), self.invoices()
        self.stage.wait(move.thinking)
        change = confirm_change(self.stage.gateway, self.caller, ChangeCommand(quote=quote.token))
        assert change.state == "applied"
        new_items = Counter(item for item_id, item in self.items().items() if item_id not in items)
        new_invoices = [invoice for invoice_id, invoice in self.invoices().items() if invoice_id not in invoices]
        self.compare(quote, new_items, new_invoices, invoices)
        self.check(change.id, sum(amount * times for (_, amount), times in new_items.items()))

    def compare(self, quote: Quote, new_items: Lines, new_invoices: list[Invoice], earlier: Collection[str]) -> None:
        """Compare the quote with what Stripe has now. ``earlier`` are the invoices before the change."""
        own = [line for line in quote.lines if line.proration and line.period.start == quote.proration_date]
        assert Counter((line.description, line.amount) for line in own) == new_items
        assert sum(invoice.amount_due for invoice in new_invoices) == quote.amount_due_now
        assert all(invoice.status == "paid" for invoice in new_invoices)
        assert len(new_invoices) <= (self.charge == "now")
        upcoming = self.next_invoice()
        credited = [
            line
            for invoice in (*new_invoices, upcoming)
            for line in invoice.lines.data
            if (line.description, line.amount) in new_items and gives_back(line, earlier)
        ]
        assert quote.credit == -sum(map(net_of, credited))
        carried_over = bool(new_invoices) and 0 < quote.amount_due_on_billing_date < MINIMUM_CHARGE
        assert upcoming.amount_due == (0 if carried_over else quote.amount_due_on_billing_date)
        billed = sum((lines_of(invoice) for invoice in (*new_invoices, upcoming)), Counter())
        assert Counter((line.description, line.amount) for line in quote.lines) == billed

    def check(self, change_id: str, held: int) -> None:
        """Check that the gateway's own charge check finds the same amount."""
        with self.stage.gateway.database.transaction() as session:
            session.get_one(PlanChange, change_id).charged = None
        check_charge(self.stage.gateway, change_id)
        with self.stage.gateway.database.transaction() as session:
            row = session.get_one(PlanChange, change_id)
        assert row.charged == row.quoted == held

    def check_all(self) -> None:
        """Check every change again, after all later changes."""
        with self.stage.gateway.database.transaction() as session:
            quoted = [each for each in session.query(PlanChange) if each.quoted is not None]
        for each in quoted:
            self.check(each.id, each.quoted or 0)


def gives_back(line: InvoiceLineItem, invoices: Collection[str]) -> bool:
    """Return whether a line credits one of the invoices, and not a charge that was never billed."""
    parent: Any = line.to_dict()["parent"]
    credited = (parent[parent["type"]].get("proration_details") or {}).get("credited_items") or {}
    return line.amount < 0 and credited.get("invoice") in invoices


def net_of(line: InvoiceLineItem) -> int:
    """Return a line's amount after its discounts and with the taxes that come on top."""
    off = sum(each.amount for each in line.discount_amounts or [])
    return line.amount - off + sum(each.amount for each in line.taxes or [] if each.tax_behavior == "exclusive")


def lines_of(invoice: Invoice) -> Lines:
    assert not invoice.lines.has_more
    return Counter((line.description, line.amount) for line in invoice.lines.data)
