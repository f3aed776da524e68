"""Endpoints of credit notes (https://docs.stripe.com/api/credit_notes)."""

from stripe.params import (
    CreditNoteCreateParams,
    CreditNoteLineItemListParams,
    CreditNoteListParams,
    CreditNotePreviewLinesListParams,
    CreditNotePreviewParams,
    CreditNoteRetrieveParams,
    CreditNoteUpdateParams,
    CreditNoteVoidCreditNoteParams,
)

from gateway.sandbox.billing import credit_notes
from gateway.sandbox.json_types import Json
from gateway.sandbox.metadata import merged
from gateway.sandbox.pagination import CURSORS, in_range, page, page_of
from gateway.sandbox.routing import Routes
from gateway.sandbox.work import Work

routes = Routes()
_LINES = " ".join(
    f"lines[{name}]"
    for name in ("type", "invoice_line_item", "amount", "quantity", "description", "unit_amount", "metadata")
)
_FIELDS = (
    f"invoice amount {_LINES} credit_amount out_of_band_amount refund_amount reason memo metadata effective_at "
    "email_type"  # Stripe mails nothing in test mode
)


@routes.post("/v1/credit_notes", CreditNoteCreateParams, _FIELDS)
def create(work: Work, params: Json) -> Json:
    """Issue a credit note for a finalized invoice."""
    return _issued(work, params)


def _issued(work: Work, params: Json) -> Json:
    return credit_notes.issue(work, work.get("invoice", params["invoice"], param="invoice", status=400), params)


@routes.get("/v1/credit_notes/preview", CreditNotePreviewParams, _FIELDS)
def preview(work: Work, params: Json) -> Json:
    """Return the credit note that the same request would issue. Store nothing."""
    return _issued(work.trial(), params)


@routes.get("/v1/credit_notes/preview/lines", CreditNotePreviewLinesListParams, f"{_FIELDS} {CURSORS}")
def preview_lines(work: Work, params: Json) -> Json:
    """List all lines of the credit note that the same request would issue."""
    trial = work.trial()
    lines = credit_notes.lines_of(trial, _issued(trial, params)["id"])
    return page_of(lines, params, kind="credit note line item", url="/v1/credit_notes/preview/lines")


@routes.get("/v1/credit_notes/{credit_note}", CreditNoteRetrieveParams)
def retrieve(work: Work, params: Json, credit_note: str) -> Json:
    """Return a credit note with its first ten lines."""
    return work.get("credit_note", credit_note)


@routes.post("/v1/credit_notes/{credit_note}", CreditNoteUpdateParams, "memo metadata")
def update(work: Work, params: Json, credit_note: str) -> Json:
    """Change the memo and the metadata."""
    found = work.get("credit_note", credit_note)
    changes: Json = {}
    if "memo" in params:
        changes["memo"] = params["memo"] or None
    if "metadata" in params:
        changes["metadata"] = merged(found["metadata"], params["metadata"])
    return work.update(found, changes)


@routes.post("/v1/credit_notes/{credit_note}/void", CreditNoteVoidCreditNoteParams)
def void(work: Work, params: Json, credit_note: str) -> Json:
    """Void a credit note on an open invoice."""
    return credit_notes.void(work, work.get("credit_note", credit_note))


@routes.get("/v1/credit_notes/{credit_note}/lines", CreditNoteLineItemListParams, CURSORS)
def list_lines(work: Work, params: Json, credit_note: str) -> Json:
    """List all lines in the credit note's own order."""
    work.get("credit_note", credit_note, param="credit_note")
    lines = credit_notes.lines_of(work, credit_note)
    return page_of(lines, params, kind="credit note line item", url=f"/v1/credit_notes/{credit_note}/lines")


@routes.get("/v1/credit_notes", CreditNoteListParams, f"{CURSORS} invoice customer created")
def list_all(work: Work, params: Json) -> Json:
    """List credit notes, filtered by invoice, customer and creation time."""
    rows = (
        row
        for row in work.select("credit_note", params.get("customer"))
        if params.get("invoice") in (None, row["invoice"]) and in_range(row["created"], params.get("created"))
    )
    return page(work, rows, params, kind="credit_note", url="/v1/credit_notes")
