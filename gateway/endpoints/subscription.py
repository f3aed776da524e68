"""``/v1/subscription`` shows and changes the organization's plan."""

from dataclasses import replace

from gateway import errors
from gateway.db.models import OPEN_STATES, PlanChange
from gateway.endpoints import examples
from gateway.endpoints.apidoc import FROM_CHANGE, FROM_STRIPE, operation, path_id
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.conditional import conditional
from gateway.endpoints.idempotent import idempotent
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.endpoints.tagged import Tagged, tagged
from gateway.services.intents.reservation import locate_change
from gateway.services.levels.follow import keep_for_quote, settle_level
from gateway.services.plan_changes.confirm import confirm_change
from gateway.services.plan_changes.payment import abandon_change
from gateway.services.plan_changes.view import ChangeView, get_change, list_changes
from gateway.services.quotes.preview import Quote, quote_change
from gateway.services.rate_limits.table import RouteClass
from gateway.services.subscription.plan_details import load_plan_details
from schemas.changes import (
    CancellationReasonSchema,
    CancelSubscriptionSchema,
    ChangeCommand,
    ChangeCommandSchema,
    CreateSubscriptionSchema,
    ModifySubscriptionSchema,
)
from schemas.subscription import ChangeListSchema, ChangeResultSchema, PlanDetailsSchema, QuoteSchema

blueprint = Blueprint(
    "subscription", __name__, url_prefix="/v1/subscription", description="The organization's plan and its changes"
)

OUTCOME_UNKNOWN = {
    "schema": ChangeResultSchema,
    "description": "The outcome is unknown yet. Follow the Location.",
    "example": examples.PROCESSING,
}
Answer = tuple[ChangeView, int, dict[str, str]]


@blueprint.get("")
@requires("billing:read")
@operation("getSubscription")
@limited(RouteClass.READ)
@blueprint.response(200, PlanDetailsSchema)
@tagged
def show() -> Tagged:
    """Return Plan Details."""
    details = load_plan_details(gateway(), caller())
    # The tag begins with the version, because `conditional` compares only that.
    return Tagged(details, prefix=f"{details.version}-", may_be_kept=details.payment_method is None)


@blueprint.post("")
@requires("billing:write")
@operation(
    "createSubscription", *FROM_CHANGE, errors.CardExpired, errors.TooManyPaymentMethods, errors.TrialUnavailable
)
@limited(RouteClass.CHANGE)
@idempotent
@blueprint.arguments(CreateSubscriptionSchema)
@blueprint.response(201, ChangeResultSchema)
@blueprint.alt_response(202, **OUTCOME_UNKNOWN)
def create(command: ChangeCommand) -> Answer:
    """Enrol the organization and move it to a plan. Without one, start the trial."""
    return answer(confirm_change(gateway(), caller(), conditional(command)), done=201)


@blueprint.patch("")
@requires("billing:write")
@operation("modifySubscription", *FROM_CHANGE, errors.TrialUnavailable)
@limited(RouteClass.CHANGE)
@idempotent
@blueprint.arguments(ModifySubscriptionSchema)
@blueprint.response(200, ChangeResultSchema)
@blueprint.alt_response(202, **OUTCOME_UNKNOWN)
def modify(command: ChangeCommand) -> Answer:
    """Move the organization to another plan, quantity or interval, prorated."""
    settle_level(gateway(), caller().organization_id)
    return answer(confirm_change(gateway(), caller(), conditional(command)), done=200)


@blueprint.delete("")
@requires("billing:write")
@operation("cancelSubscription", *FROM_CHANGE)
@limited(RouteClass.CHANGE)
@idempotent
@blueprint.arguments(CancelSubscriptionSchema, location="query")
@blueprint.arguments(CancellationReasonSchema, required=False)
@blueprint.response(200, ChangeResultSchema)
@blueprint.alt_response(202, **OUTCOME_UNKNOWN)
def cancel(command: ChangeCommand, reason: dict[str, str]) -> Answer:
    """Cancel the plan, which moves the organization to the floor plan immediately, prorated."""
    command = replace(command, plan=gateway().catalog.floor.key, cancellation=reason or None)
    settle_level(gateway(), caller().organization_id)
    return answer(confirm_change(gateway(), caller(), conditional(command)), done=200)


@blueprint.post("/preview")
@requires("billing:read")
@operation(
    "previewChange",
    *FROM_STRIPE,
    errors.BillingAddressRequired,
    errors.CatalogNotSynced,
    errors.ClassicBillingMode,
    errors.NoChange,
    errors.NoImmediateCharge,
    errors.NotEnrolled,
    errors.PeriodOver,
    errors.PlanUnavailable,
    errors.QuantityFollowsUsage,
    errors.UnpaidInvoice,
)
@limited(RouteClass.STRIPE)
@blueprint.arguments(ChangeCommandSchema)
@blueprint.response(200, QuoteSchema)
def preview(command: ChangeCommand) -> Quote:
    """Quote a change. Return its cost and a token that buys it at that cost."""
    # This may change the quantity. A level that waits would otherwise make the quote stale, and the caller chooses
    # nothing of it.
    keep_for_quote(gateway(), caller().organization_id)
    return quote_change(gateway(), caller(), command.plan, command.quantity, command.interval)


@blueprint.get("/changes")
@requires("billing:read")
@operation("listChanges")
@limited(RouteClass.READ)
@blueprint.response(200, ChangeListSchema)
def changes() -> dict[str, list[PlanChange]]:
    """List the last changes, newest first."""
    return {"data": list_changes(gateway(), caller())}


@blueprint.get("/changes/<change_id>", parameters=path_id("change_id", examples.CHANGE_ID))
@requires("billing:read")
@operation("getChange", errors.NotFound)
@limited(RouteClass.READ)
@blueprint.response(200, ChangeResultSchema)
def show_change(change_id: str) -> ChangeView:
    """Return one change and its state."""
    return get_change(gateway(), caller(), change_id)


@blueprint.delete("/changes/<change_id>", parameters=path_id("change_id", examples.CHANGE_ID))
@requires("billing:write")
@operation("abandonChange", *FROM_STRIPE, errors.ChangeInProgress, errors.Conflict)
@limited(RouteClass.CHANGE)
@blueprint.response(200, ChangeResultSchema)
def abandon(change_id: str) -> ChangeView:
    """Cancel a change that waits for the customer to approve its payment."""
    return abandon_change(gateway(), caller(), change_id)


def answer(view: ChangeView, *, done: int) -> Answer:
    """Return the change with its address, and status 202 while its outcome at Stripe is unknown."""
    status = 202 if view.state in OPEN_STATES else done
    return view, status, locate_change(view.id)
