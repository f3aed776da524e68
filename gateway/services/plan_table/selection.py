"""Choose the subscription and the item that an organization's plan follows from.

A customer may have several subscriptions, and a subscription several items. Other programs may have made them.

A subscription stands for the organization's plan in two cases:

- It has an item of a plan's product.
- It had such an item earlier, or the gateway once changed it. Such a subscription is ``unmapped`` now. Without this
  case, an organization that pays for a product unknown to the catalogue would silently be on the floor plan.

All other subscriptions are to other things, and the gateway ignores them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.db.models import Subscription
from gateway.services.plan_table.standing import RULES
from gateway.stripe_api.snapshots import ENDED

UNMAPPED = "unmapped"
"""The plan of a subscription that once stood for a plan and has no plan's item now. It grants nothing."""


@dataclass(frozen=True)
class Plans:
    """The catalogue, as far as a plan is derived with it."""

    of_product: Mapping[str, str]
    """The plan that each product stands for."""
    ranking: Sequence[str]
    """The keys of the plans, from the lowest rank to the highest. The first one is the floor plan."""
    suspends_disputed: bool = False
    """Whether an organization loses the use of its plan when it gets money back by a dispute."""

    @property
    def floor(self) -> str:
        """The key of the floor plan, to which every organization falls back."""
        return self.ranking[0]

    def rank(self, plan: str) -> tuple[bool, bool, int]:
        """Return the plan's rank. UNMAPPED ranks just above the floor plan, because the organization may pay for it."""
        return plan != self.floor, plan != UNMAPPED, self.ranking.index(plan) if plan in self.ranking else -1


def select_current_subscription(subscriptions: Sequence[Subscription], plans: Plans) -> Subscription | None:
    """Return the subscription that an organization is on, or was on last.

    A usable subscription comes before one that is merely not ended. Then the highest plan counts, and then the newest
    subscription. Among ended ones, the newest counts. Return None if no subscription stands for a plan.
    """

    def precedence(each: Subscription) -> tuple[bool, bool, tuple[bool, bool, int], datetime, str]:
        running = each.status not in ENDED
        rank = plans.rank(select_base_item(each, plans)[0] if running else plans.floor)
        return running, RULES[each.status].usable, rank, each.created, each.id

    return max((each for each in subscriptions if stands_for_plan(each, plans)), key=precedence, default=None)


def list_duplicates(subscriptions: Sequence[Subscription], plans: Plans) -> list[Subscription]:
    """Return the running subscriptions that stand for a plan beside the current one, ordered by id."""
    running = [each for each in subscriptions if each.status not in ENDED and stands_for_plan(each, plans)]
    if len(running) <= 1:  # the only one is the current one
        return []
    current = select_current_subscription(running, plans)
    return sorted((each for each in running if each is not current), key=lambda each: each.id)


def stands_for_plan(subscription: Subscription, plans: Plans) -> bool:
    """Return whether a subscription stands for the organization's plan, and not for something else."""
    ours = subscription.had_plan or subscription.change_id is not None
    return ours or has_plan(subscription, plans)


def has_plan(subscription: Subscription, plans: Plans) -> bool:
    """Return whether a subscription has an item of a plan's product."""
    return any(item["product_id"] in plans.of_product for item in subscription.items)


def select_base_item(subscription: Subscription, plans: Plans) -> tuple[str, dict[str, Any]]:
    """Return the plan of a subscription, and the item that stands for it.

    A plan is a product, not a price. An organization that bought it at a price since archived keeps the plan. Metered
    prices of the product belong to the plan, so a licensed item comes first. Among items of several plans, the highest
    plan counts. Among several items of one plan, the most expensive one counts. The plan is UNMAPPED if no item stands
    for one.
    """

    def precedence(item: dict[str, Any]) -> tuple[bool, tuple[bool, bool, int], int, str]:
        rank = plans.rank(plans.of_product[item["product_id"]])
        return not item.get("metered"), rank, item.get("unit_amount") or 0, item["id"]

    mapped = [item for item in subscription.items if item["product_id"] in plans.of_product]
    if not mapped:
        return UNMAPPED, subscription.items[0]
    base = max(mapped, key=precedence)
    return plans.of_product[base["product_id"]], base
