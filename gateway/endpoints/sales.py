"""``/v1/sales-inquiries``: the contact form."""

from gateway.db.models import SalesInquiry
from gateway.endpoints.blueprint import Blueprint
from gateway.endpoints.context import caller, gateway, requires
from gateway.services.sales import inquiries
from schemas.sales import SalesInquirySchema, StoredInquirySchema

blueprint = Blueprint("sales", __name__, url_prefix="/v1/sales-inquiries", description="Contact sales")


@blueprint.post("")
@requires("billing:write")
@blueprint.arguments(SalesInquirySchema)
@blueprint.response(201, StoredInquirySchema)
def inquire(form: dict[str, str]) -> SalesInquiry:
    """Ask sales, about Enterprise above all. A few an hour; 429 says when the next one may be."""
    return inquiries.store_inquiry(gateway(), caller(), form)
