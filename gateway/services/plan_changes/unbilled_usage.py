"""Bill the usage of a left plan that Stripe had not counted when it removed the metered items.

Stripe makes invoice items of the usage that it counted before. It bills none of what it counts later, or of what
the gateway learns of later. So this compares what Stripe billed with our records, and an invoice item bills the rest.
https://docs.stripe.com/billing/subscriptions/billing-mode/compare
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import structlog
from stripe import InvoiceItem, Price

from gateway.catalog import CatalogPrice, Interval, Meter, Tier, TiersMode, round_amount
from gateway.db.models import FINAL_USAGE, MADE_FROM, Organization, PlanChange
from gateway.errors import NotFound, StripeRejected, StripeUnavailable
from gateway.failpoints import Failpoint, failpoint
from gateway.services.plan_changes.charge_back import is_running
from gateway.services.runtime import Gateway
from gateway.services.usage.ended_plans import sum_usage, take_back
from gateway.stripe_api.client import is_key_spent, stripe_call
from gateway.stripe_api.times import from_unix, to_unix

if TYPE_CHECKING:
    from stripe.params import InvoiceItemCreateParams

CLOCKS_APART = timedelta(hours=1)  # far more than the difference of two clocks
USAGE_OF = "usage_of"  # the metadata key of our items, with the id of the subscription item whose usage they bill
TEXT = "{meter} until {day:%Y-%m-%d}, counted later"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class LeftItem:
    """A metered item that a change has removed."""

    id: str
    price: Price
    """Its price, whose tiers are expanded."""
    meter: Meter
    bills: Sequence[InvoiceItem]
    """The invoice items that bill its usage at this price, those of Stripe and ours."""
    since: datetime
    """The start of the usage that they bill. If the item had another price in this period, Stripe has billed that."""

    @property
    def own_bills(self) -> list[InvoiceItem]:
        """Return the invoice items that earlier runs of the job have made."""
        return [each for each in self.bills if is_ours(each, self.id)]


def bill_unbilled_usage(gateway: Gateway, change_id: str) -> None:
    """Run the job that bills the usage of the plan that a change has left, as far as Stripe has not billed it.

    ``plan_table/writer.close_changes`` queues it, and ``usage.claim`` does so for usage that arrives later. A repeated
    run finds the item of the run before, and adds nothing. Raise StripeUnavailable or StripeRejected, and the worker
    then retries the job.
    """
    attempt = 0
    while True:
        try:
            return try_to_bill(gateway, change_id, attempt)
        except (StripeRejected, StripeUnavailable) as error:
            if not is_key_spent(error):
                raise
        attempt += 1


def try_to_bill(gateway: Gateway, change_id: str, attempt: int) -> None:
    """Do what ``bill_unbilled_usage`` does, with the idempotency keys of one attempt."""
    floor = gateway.catalog.floor.key
    with gateway.database.transaction() as session:
        change = session.get_one(PlanChange, change_id)
        take_back(session, change, floor, gateway.clock())
        began = datetime.fromisoformat(change.steps[FINAL_USAGE]["start"])
        is_used = any(sum_usage(session, change, floor, began).values())
        customer_id = session.get_one(Organization, change.organization_id).stripe_customer_id
    if customer_id is None or not is_used:
        return
    try:
        for left in load_left_items(gateway, change, customer_id, began):
            with gateway.database.reading() as session:
                used = sum_usage(session, change, floor, left.since).get(left.meter.key, 0)
            missing = price_usage(left.price, used) - sum(each.amount for each in left.bills)
            if missing > 0:
                charge(gateway, change, customer_id, left, missing, attempt)
    except NotFound:  # the customer was deleted
        log.warning("usage_left_unbilled", change_id=change_id, organization_id=change.organization_id)


def load_left_items(gateway: Gateway, change: PlanChange, customer_id: str, began: datetime) -> Iterator[LeftItem]:
    """Yield the metered items that the change has removed, with what Stripe says about them since the period began."""
    since = to_unix(began - CLOCKS_APART)
    meters = {each.event_name: each for each in gateway.catalog.meters}
    with stripe_call():
        listed = gateway.stripe.v1.invoice_items.list(
            {"customer": customer_id, "created": {"gte": since}, "limit": 100}
        )
        items = list(listed.auto_paging_iter())
    for item_id, price_id in change.steps[FINAL_USAGE]["items"].items():
        with stripe_call():
            price = gateway.stripe.v1.prices.retrieve(price_id, {"expand": ["tiers"]})
            meter_id = price.recurring.meter if price.recurring is not None else None
            event_name = gateway.stripe.v1.billing.meters.retrieve(meter_id).event_name if meter_id else ""
        if event_name in meters:
            bills = [each for each in items if bills_usage_of(each, item_id)]
            earlier = [each for each in bills if not is_ours(each, item_id) and find_price(each) != price_id]
            yield LeftItem(
                id=item_id,
                price=price,
                meter=meters[event_name],
                bills=[each for each in bills if each not in earlier],
                since=max([began, *(from_unix(each.period.end + 1) for each in earlier)]),
            )


def bills_usage_of(item: InvoiceItem, item_id: str) -> bool:
    """Return whether an invoice item bills the usage of a subscription item. Stripe or this job has made it."""
    parent = item.parent.subscription_details if item.parent is not None else None
    is_of_stripe = parent is not None and parent.subscription_item == item_id and not item.proration
    return is_of_stripe or is_ours(item, item_id)


def find_price(item: InvoiceItem) -> str | None:
    """Return the id of the price of an invoice item, or None."""
    details = item.pricing.price_details if item.pricing is not None else None
    return str(details.price) if details is not None else None


def is_ours(item: InvoiceItem, item_id: str) -> bool:
    """Return whether this job made the invoice item for a subscription item."""
    return bool((item.to_dict()["metadata"] or {}).get(USAGE_OF) == item_id)


def price_usage(price: Price, used: int) -> int:
    """Return what the usage of a period costs at Stripe's price, whose tiers are expanded."""
    units = used
    if (package := price.transform_quantity) is not None:
        whole, rest = divmod(used, package.divide_by)
        units = whole + (1 if rest and package.round == "up" else 0)
    tiers = (
        Tier(**{name: tier[name] for name in ("up_to", "unit_amount_decimal", "flat_amount")})
        for tier in price.to_dict().get("tiers") or ()
    )
    terms = CatalogPrice(
        lookup_key=price.lookup_key or "",
        currency=price.currency,
        interval=cast("Interval", price.recurring.interval if price.recurring is not None else "month"),
        unit_amount_decimal=price.unit_amount_decimal,
        tiers=tuple(tiers),
        tiers_mode=cast("TiersMode | None", price.tiers_mode),
    )
    return round_amount(terms.compute_amount(units))


def charge(gateway: Gateway, change: PlanChange, customer_id: str, left: LeftItem, missing: int, attempt: int) -> None:
    """Add the missing amount to the item of an earlier run that waits for its invoice, or make a new item.

    A new item for each minute's late usage would exceed what Stripe takes on an invoice.
    """
    pending = next((each for each in left.own_bills if each.invoice is None), None)
    with stripe_call():
        if pending is not None:
            amount = pending.amount + missing
            gateway.stripe.v1.invoice_items.update(pending.id, {"amount": amount}, {"max_network_retries": 0})
        else:
            key = f"final_usage:{left.id}:{sum(each.amount for each in left.own_bills)}:{attempt}"
            params = build_item(gateway, change, customer_id, left, missing)
            gateway.stripe.v1.invoice_items.create(params, {"idempotency_key": key, "max_network_retries": 0})
    log.info("late_usage_billed", change_id=change.id, organization_id=change.organization_id, amount=missing)
    failpoint(Failpoint.USAGE_BILLED)


def build_item(
    gateway: Gateway, change: PlanChange, customer_id: str, left: LeftItem, amount: int
) -> "InvoiceItemCreateParams":
    """Return the parameters of an invoice item for the next invoice of the subscription, if it still runs."""
    left_at = change.left_at or change.ended_at or change.created_at
    params: InvoiceItemCreateParams = {
        "customer": customer_id,
        "amount": amount,
        "currency": left.price.currency,
        "description": TEXT.format(meter=left.meter.name, day=left_at),
        "metadata": {USAGE_OF: left.id},
    }
    if left.price.tax_behavior in ("exclusive", "inclusive"):
        params["tax_behavior"] = left.price.tax_behavior
    subscription_id: str = change.steps[MADE_FROM][0]
    if is_running(gateway, subscription_id):
        params["subscription"] = subscription_id
    return params
