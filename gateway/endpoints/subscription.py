"""``/v1/subscription`` shows and changes the organization's plan."""

from dataclasses import replace

from gateway.db.models import OPEN_STATES, PlanChange
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.conditional import conditional
from gateway.endpoints.idempotent import idempotent
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.plan_changes import confirm, payment, view
from gateway.services.plan_changes.view import ChangeView, location_of
from gateway.services.plan_table.derive import FREE
from gateway.services.quotes.preview import Quote, quote_change
from gateway.services.subscription import plan_details
from schemas.subscription import (
    CancelSubscriptionSchema,
    ChangeCommand,
    ChangeCommandSchema,
    ChangeListSchema,
    ChangeResultSchema,
    CreateSubscriptionSchema,
    ModifySubscriptionSchema,
    PlanDetailsSchema,
    QuoteSchema,
)

blueprint = Blueprint(
    "subscription", __name__, url_prefix="/v1/subscription", description="The organization's plan and its changes"
)

Answer = tuple[ChangeView, int, dict[str, str]]


@blueprint.get("")
@requires("billing:read")
@blueprint.etag
@blueprint.response(200, PlanDetailsSchema)
def show() -> tuple[plan_details.PlanDetails, int, dict[str, str]]:
    """Return Plan Details."""
    # A browser may keep them for its next conditional request, unless they show a card.
    details = plan_details.plan_details(gateway(), caller())
    return details, 200, {"Cache-Control": "private, no-cache" if details.payment_method is None else "no-store"}


@blueprint.post("")
@requires("billing:write")
@idempotent
@blueprint.arguments(CreateSubscriptionSchema)
@blueprint.response(201, ChangeResultSchema)
@blueprint.alt_response(202, schema=ChangeResultSchema, description="The outcome is unknown yet. Follow the Location.")
def create(command: ChangeCommand) -> Answer:
    """Enrol the organization and move it to a plan."""
    return answer(confirm.change(gateway(), caller(), conditional(command)), done=201)


@blueprint.patch("")
@requires("billing:write")
@idempotent
@blueprint.arguments(ModifySubscriptionSchema)
@blueprint.response(200, ChangeResultSchema)
@blueprint.alt_response(202, schema=ChangeResultSchema, description="The outcome is unknown yet. Follow the Location.")
def modify(command: ChangeCommand) -> Answer:
    """Move the organization to another plan or quantity, prorated."""
    return answer(confirm.change(gateway(), caller(), conditional(command)), done=200)


@blueprint.delete("")
@requires("billing:write")
@idempotent
@blueprint.arguments(CancelSubscriptionSchema, location="query")
@blueprint.response(200, ChangeResultSchema)
@blueprint.alt_response(202, schema=ChangeResultSchema, description="The outcome is unknown yet. Follow the Location.")
def cancel(command: ChangeCommand) -> Answer:
    """Cancel the plan, which moves the organization to Free immediately, prorated."""
    return answer(confirm.change(gateway(), caller(), conditional(replace(command, plan=FREE))), done=200)


@blueprint.post("/preview")
@requires("billing:read")
@blueprint.arguments(ChangeCommandSchema)
@blueprint.response(200, QuoteSchema)
def preview(command: ChangeCommand) -> Quote:
    """Quote a change. Return its cost and a token that buys it at that cost."""
    return quote_change(gateway(), caller(), command.plan, command.quantity)


@blueprint.get("/changes")
@requires("billing:read")
@blueprint.response(200, ChangeListSchema)
def changes() -> dict[str, list[PlanChange]]:
    """List the last changes, newest first."""
    return {"data": view.list_changes(gateway(), caller())}


@blueprint.get("/changes/<change_id>")
@requires("billing:read")
@blueprint.response(200, ChangeResultSchema)
def show_change(change_id: str) -> ChangeView:
    """Return one change and its state."""
    return view.get_change(gateway(), caller(), change_id)


@blueprint.delete("/changes/<change_id>")
@requires("billing:write")
@blueprint.response(200, ChangeResultSchema)
def abandon(change_id: str) -> ChangeView:
    """Cancel a change that waits for the customer to approve its payment."""
    return payment.abandon(gateway(), caller(), change_id)


def answer(view: ChangeView, *, done: int) -> Answer:
    """Return the change with its address, and status 202 while its outcome at Stripe is unknown."""
    status = 202 if view.state in OPEN_STATES else done
    return view, status, location_of(view.id)
