"""The plans that this deployment sells, as ``catalog.toml`` lists them."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self, get_args

from gateway.config import ConfigError
from gateway.errors import InvalidRequest

Charge = Literal["on_billing_date", "now"]
OnDispute = Literal["keep", "suspend"]


@dataclass(frozen=True, kw_only=True)
class CatalogPrice:
    """A plan's price per unit and ``interval``. ``unit_amount`` is in minor units of ``currency``."""

    lookup_key: str
    currency: str
    unit_amount: int
    interval: str


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What an organization may owe at most for a plan, in minor units of the price's currency."""

    before_payment: int
    """Until Stripe has received money from the organization. Its card may be one that no bank would ever charge."""
    after_payment: int


@dataclass(frozen=True, kw_only=True)
class CatalogPlan:
    """A plan. The sales team sells a plan without a price, at an individual price."""

    key: str
    name: str
    description: str
    price: CatalogPrice | None = None
    max_quantity: int = 1
    charge: Charge = "on_billing_date"
    """When Stripe charges for a change: with the next invoice, or now.

    A change that is charged now takes effect when it is paid.
    """
    exposure: Exposure | None = None
    """None means that ``max_quantity`` alone bounds what an organization may owe."""

    def __post_init__(self) -> None:
        if self.charge not in get_args(Charge):
            raise ConfigError(f"catalog.toml: charge of {self.key} must be one of {', '.join(get_args(Charge))}.")


TABLES = {"price": CatalogPrice, "exposure": Exposure}  # the keys of a plan that hold a table


@dataclass(frozen=True)
class Catalog:
    """All plans, from the smallest to the largest."""

    plans: tuple[CatalogPlan, ...]
    on_dispute: OnDispute = "keep"
    """Whether an organization keeps its plan after it got money back by a dispute. It can buy nothing in any case."""

    def __post_init__(self) -> None:
        if self.on_dispute not in get_args(OnDispute):
            raise ConfigError(f"catalog.toml: on_dispute must be one of {', '.join(get_args(OnDispute))}.")

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the catalogue at ``path``, or the one that comes with the gateway. Raise ConfigError."""
        file = path or files("gateway").joinpath("catalog.toml")
        try:
            data = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"the catalogue cannot be read: {error}") from error
        return cls(
            tuple(
                CatalogPlan(**plan | {key: kind(**plan[key]) for key, kind in TABLES.items() if key in plan})
                for plan in data["plans"]
            ),
            on_dispute=data.get("on_dispute", "keep"),
        )

    def find(self, key: str) -> CatalogPlan | None:
        """Return the plan with the key, or None."""
        return next((plan for plan in self.plans if plan.key == key), None)

    def get(self, key: str) -> CatalogPlan:
        """Return the plan with the key. Raise InvalidRequest if there is none."""
        if (plan := self.find(key)) is None:
            raise InvalidRequest(
                "There is no such plan.", errors={"plan": [f"Must be one of: {', '.join(self.keys)}."]}
            )
        return plan

    @property
    def keys(self) -> tuple[str, ...]:
        """The plans' keys, from the smallest plan to the largest."""
        return tuple(plan.key for plan in self.plans)

    def name_of(self, key: str) -> str:
        """Return a plan's display name, even if the plan is not in the catalogue."""
        plan = self.find(key)
        return plan.name if plan is not None else key.capitalize()
