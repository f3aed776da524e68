"""Changes that are quoted and confirmed, and whose charges must be the quoted ones to the minor unit."""

from typing import Any

from gateway.db.models import PlanChange
from tests.support.json_types import Json
from tests.support.world import World


def make_quoted(world: World, **change: Any) -> Json:
    """Quote the change, confirm the quote and return it. Stripe must charge exactly the quote, now and later."""
    quote = world.api().ok("POST", "/subscription/preview", **change)
    world.api().ok("PATCH", "/subscription", quote=quote["token"])
    world.settle()
    made = max(world.rows(PlanChange), key=lambda each: each.created_at)
    assert made.quoted is not None
    assert (made.charged, made.due_now) == (made.quoted, made.quoted_due_now)
    assert (made.due_now or 0) == quote["amount_due_now"]
    upcoming: Any = {"subscription": world.plan_row().subscription_id}
    assert world.stripe.v1.invoices.create_preview(upcoming).amount_due == quote["amount_due_on_billing_date"]
    return quote
