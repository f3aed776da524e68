"""What a plan of the catalogue consists of. All amounts are in minor units of their currency."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Literal

Interval = Literal["month", "year"]
TiersMode = Literal["graduated", "volume"]
TaxBehavior = Literal["exclusive", "inclusive"]
Aggregation = Literal["sum", "count", "last"]
Charge = Literal["on_billing_date", "now"]


@dataclass(frozen=True, kw_only=True)
class Meter:
    """A meter, which adds up the usage of a period. https://docs.stripe.com/api/billing/meter/object."""

    key: str
    name: str
    event_name: str
    aggregation: Aggregation


@dataclass(frozen=True, kw_only=True)
class Amount:
    """The amount of one unit: a whole one, or one with a fraction of a minor unit. A tier may have neither."""

    unit_amount: int | None = None
    unit_amount_decimal: Decimal | None = None

    @property
    def per_unit(self) -> Decimal:
        """The amount of one unit, 0 without one."""
        return Decimal(self.unit_amount or 0) + (self.unit_amount_decimal or 0)

    @property
    def is_free(self) -> bool:
        """Return whether a unit costs nothing."""
        return not self.per_unit


@dataclass(frozen=True, kw_only=True)
class Tier(Amount):
    """The amounts for a range of units. ``up_to`` is the last unit, or None in the last tier."""

    up_to: int | None = None
    flat_amount: int | None = None


@dataclass(frozen=True, kw_only=True)
class CatalogPrice(Amount):
    """A price per unit and interval, or one with tiers. A metered price bills usage instead of a quantity.

    https://docs.stripe.com/api/prices/object
    """

    lookup_key: str
    currency: str
    interval: Interval
    tiers: tuple[Tier, ...] = ()
    tiers_mode: TiersMode | None = None
    tax_behavior: TaxBehavior | None = None
    """Whether the amounts contain the tax. None leaves it to the settings of the Stripe account."""
    meter: str | None = None
    """The key of the meter whose usage the price bills."""

    @property
    def is_free(self) -> bool:
        """Return whether any quantity costs nothing."""
        return super().is_free and all(tier.is_free and not tier.flat_amount for tier in self.tiers)

    def compute_amount(self, quantity: int) -> Decimal:
        """Return what ``quantity`` units cost for one interval, before Stripe rounds it.

        https://docs.stripe.com/products-prices/pricing-models#tiered-pricing
        """
        if not self.tiers:
            return quantity * self.per_unit
        start, total = 0, Decimal(0)
        for tier in self.tiers:
            is_last = tier.up_to is None or quantity <= tier.up_to
            if self.tiers_mode == "volume" and is_last:
                return quantity * tier.per_unit + (tier.flat_amount or 0)
            end = quantity if tier.up_to is None else min(quantity, tier.up_to)
            total += (end - start) * tier.per_unit + (tier.flat_amount or 0)
            if is_last:
                break
            start = end
        return total

    def find_quantity(self, amount: int, most: int) -> int:
        """Return how many units, but at most ``most``, never cost more than ``amount``. Fewer units may cost more."""
        fits = 0
        for end in [tier.up_to for tier in self.tiers if tier.up_to is not None and tier.up_to < most] + [most]:
            if self.compute_amount(end) > amount:  # within a tier, more units cost more
                return fits + bisect_right(range(fits + 1, end + 1), Decimal(amount), key=self.compute_amount)
            fits = end
        return fits


def round_amount(amount: Decimal) -> int:
    """Return the amount in whole minor units, as Stripe rounds a line of an invoice."""
    return int(amount.to_integral_value(ROUND_HALF_UP))


@dataclass(frozen=True, kw_only=True)
class Metered:
    """Usage that a plan bills beside its quantity, every month in arrears."""

    meter: str
    included: int = 0
    """The usage of a month that costs nothing. The tiers of ``prices`` contain it."""
    prices: tuple[CatalogPrice, ...]
    """One price per currency."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What an organization may owe at most for a plan."""

    before_payment: int
    """Until Stripe has received money from the organization. Its card may be one that no bank would ever charge."""
    after_payment: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trial of a plan, without a card."""

    days: int


@dataclass(frozen=True, kw_only=True)
class CatalogPlan:
    """A plan. The fields are those of ``catalog.toml``, which ``docs/catalog.md`` explains."""

    key: str
    name: str
    description: str
    rank: int
    sales: bool = False
    """Whether only the sales team changes to and from the plan."""
    archived: bool = False
    """Whether the plan is no longer sold. Organizations that have it keep it."""
    unit: str | None = None
    """What the quantity counts, such as services."""
    max_quantity: int = 1
    prices: tuple[CatalogPrice, ...] = ()
    metered: tuple[Metered, ...] = ()
    limits: Mapping[str, int | None] = field(default_factory=dict)
    """None stands for unlimited."""
    features: Mapping[str, bool] = field(default_factory=dict)
    trial: Trial | None = None
    charge: Charge = "on_billing_date"
    """When Stripe charges for a change: with the next invoice, or now.

    A change that is charged now takes effect when it is paid.
    """
    exposure: Mapping[str, Exposure] = field(default_factory=dict)
    """By currency. Without one, ``max_quantity`` alone bounds what an organization may owe."""

    @cached_property
    def is_floor(self) -> bool:
        """Return whether this is the floor plan, the one that costs nothing. Every organization falls back to it."""
        return bool(self.prices) and not self.metered and all(price.is_free for price in self.prices)

    @cached_property
    def currencies(self) -> tuple[str, ...]:
        """The currencies in which the plan is sold, in the order of its prices."""
        return tuple(dict.fromkeys(price.currency for price in self.prices))

    @property
    def sold_prices(self) -> tuple[CatalogPrice, ...]:
        """All prices that the plan is sold at, with the metered ones. None for an archived plan."""
        return () if self.archived else self.prices + self.metered_prices

    @property
    def metered_prices(self) -> tuple[CatalogPrice, ...]:
        """The metered prices, of all meters and currencies."""
        return tuple(price for metered in self.metered for price in metered.prices)

    def find_price(self, currency: str, interval: str) -> CatalogPrice | None:
        """Return the price in the currency and interval, or None."""
        return next((each for each in self.prices if (each.currency, each.interval) == (currency, interval)), None)
