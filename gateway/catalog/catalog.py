"""All plans of a deployment, as ``catalog.toml`` lists them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Literal, Self

from gateway.catalog.plans import CatalogPlan, Meter
from gateway.catalog.read import read_catalog
from gateway.errors import InvalidRequest

OnDispute = Literal["keep", "suspend"]


@dataclass(frozen=True)
class Catalog:
    """All plans, from the lowest rank to the highest. The floor plan comes first."""

    plans: tuple[CatalogPlan, ...]
    meters: tuple[Meter, ...] = ()
    on_dispute: OnDispute = "keep"
    """Whether an organization keeps its plan after it got money back by a dispute. It can buy nothing in any case."""
    automatic_tax: bool = False
    """Whether Stripe computes the taxes. https://docs.stripe.com/tax"""
    spend_alerts: Mapping[str, int] = field(default_factory=dict)
    """The spend by currency at which an organization is notified that has chosen no amounts itself."""

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read the catalogue at ``path``, or the one that comes with the gateway.

        Raise ConfigError if the file cannot be read, and CatalogMistakes with all mistakes in it.
        """
        return cls(**read_catalog(path or Path(str(files("gateway").joinpath("catalog.toml")))))

    def find(self, key: str) -> CatalogPlan | None:
        """Return the plan with the key, or None."""
        return self._by_key.get(key)

    def get(self, key: str) -> CatalogPlan:
        """Return the plan with the key. Raise InvalidRequest if there is none."""
        if (plan := self.find(key)) is None:
            raise InvalidRequest(
                "There is no such plan.", errors={"plan": [f"Must be one of: {', '.join(self.keys)}."]}
            )
        return plan

    def is_managed_by_sales(self, key: str) -> bool:
        """Return whether the sales team alone manages the plan with the key, its payment methods and its invoices."""
        plan = self.find(key)
        return plan is not None and plan.sales

    @cached_property
    def floor(self) -> CatalogPlan:
        """The plan that costs nothing."""
        return next(plan for plan in self.plans if plan.is_floor)

    @cached_property
    def trial_plan(self) -> CatalogPlan | None:
        """The plan that a new organization may try, or None."""
        return next((plan for plan in self.plans if plan.trial is not None), None)

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The plans' keys, from the lowest rank to the highest."""
        return tuple(plan.key for plan in self.plans)

    def list_features(self, plan: CatalogPlan) -> dict[str, bool]:
        """Return every feature of the catalogue, and whether the plan has it."""
        return {**self._no_features, **plan.features}

    def list_limits(self, plan: CatalogPlan) -> dict[str, int | None]:
        """Return every limit of the catalogue, and what the plan allows. None stands for unlimited.

        A limit that the plan does not name is unlimited.
        """
        return {**self._no_limits, **plan.limits}

    def name_of(self, key: str) -> str:
        """Return a plan's display name, even if the plan is not in the catalogue."""
        plan = self.find(key)
        return plan.name if plan is not None else key.capitalize()

    @cached_property
    def _by_key(self) -> Mapping[str, CatalogPlan]:
        return {plan.key: plan for plan in self.plans}

    @cached_property
    def _no_features(self) -> Mapping[str, bool]:
        return dict.fromkeys((name for each in self.plans for name in each.features), False)

    @cached_property
    def _no_limits(self) -> Mapping[str, int | None]:
        return dict.fromkeys((name for each in self.plans for name in each.limits), None)
