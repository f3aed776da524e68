"""The resource ``/v1/sales-inquiries``, which is the contact form."""

from gateway.db.models import SalesInquiry
from gateway.endpoints.apidoc import operation
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.limits import limited
from gateway.endpoints.request_context import caller, gateway, requires
from gateway.services.rate_limits.table import RouteClass
from gateway.services.sales import inquiries
from schemas.sales import SalesInquirySchema, StoredInquirySchema

blueprint = Blueprint("sales", __name__, url_prefix="/v1/sales-inquiries", description="Contact sales")


@blueprint.post("")
@requires("billing:write")
@operation("createSalesInquiry")
@limited(RouteClass.INQUIRY)
@blueprint.arguments(SalesInquirySchema)
@blueprint.response(201, StoredInquirySchema)
def inquire(form: dict[str, str]) -> SalesInquiry:
    """Send an inquiry to sales, such as for a plan of theirs. After a few in an hour, 429 says when to try again."""
    return inquiries.store_inquiry(gateway(), caller(), form)
