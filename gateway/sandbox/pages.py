"""The local Stripe's pages in a browser: a bank's 3-D Secure question, invoices to view and pay, receipts and PDFs.

As at Stripe, anyone who knows the id in the address may use the page. Ids cannot be guessed.
"""

from collections.abc import Iterator
from functools import partial
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.sandbox.billing import credit_notes, intents, on_file, payment, setup
from gateway.sandbox.billing.lines import lines_of
from gateway.sandbox.currencies import shown
from gateway.sandbox.engine import Engine
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.invoice import subscription_of
from gateway.sandbox.objects.payment_method import last4_of
from gateway.sandbox.pdf import text_page
from gateway.sandbox.work import Work

_WIDTH = 80
_SEE_OTHER = 303


def blueprint(engine: Engine) -> Blueprint:
    """Return the pages for the engine's objects."""
    pages = Blueprint("pages", __name__)

    @pages.get("/3d_secure/<intent_id>")
    def show_question(intent_id: str) -> Response:
        with engine.visit(intent_id) as work:
            return _question(work, _intent(work, intent_id))

    @pages.post("/3d_secure/<intent_id>")
    def answer_question(intent_id: str) -> AnyResponse:
        with engine.visit(intent_id) as work:
            intent = _intent(work, intent_id)
            if intent is None or intent["status"] != "requires_action":
                return _question(work, intent)
            answered = _answer(work, intent, approved=request.form.get("answer") == "complete")
            back = _return_address(intent, answered)
            return redirect(back, _SEE_OTHER) if back else _question(work, answered)

    @pages.get("/i/<invoice_id>")
    def invoice(invoice_id: str) -> Response:
        with engine.visit(invoice_id) as work:
            return _invoice_page(work, _finalized(work, invoice_id))

    @pages.post("/i/<invoice_id>/pay")
    def pay(invoice_id: str) -> AnyResponse:
        with engine.visit(invoice_id) as work:
            found = _finalized(work, invoice_id)
            return redirect(_pay(work, found), _SEE_OTHER) if found else _invoice_page(work, None)

    _add_documents(pages, engine)
    return pages


def _add_documents(pages: Blueprint, engine: Engine) -> None:
    @pages.get("/i/<invoice_id>/pdf")
    def pdf(invoice_id: str) -> Response:
        with engine.visit(invoice_id) as work:
            found = _finalized(work, invoice_id)
            if found is None:
                return _invoice_page(work, None)
            return Response(text_page(_text_lines(work, found)), content_type="application/pdf")

    @pages.get("/credit_notes/<note_id>/pdf")
    def credit_note_pdf(note_id: str) -> Response:
        with engine.visit(note_id) as work:
            found = work.find("credit_note", note_id)
            if found is None:
                return _missing()
            return Response(text_page(_credit_note_text(work, found)), content_type="application/pdf")

    @pages.get("/receipts/<charge_id>")
    def receipt(charge_id: str) -> Response:
        with engine.visit(charge_id) as work:
            found = work.find("charge", charge_id)
            if found is None or not found["paid"]:
                return _missing()
            money = partial(shown, currency=found["currency"])
            return make_response(render_template("receipt.html", charge=found, money=money))


def _missing() -> Response:
    return make_response(render_template("missing.html"), 404)


def _intent(work: Work, intent_id: str) -> Json | None:
    return work.find("payment_intent", intent_id) or work.find("setup_intent", intent_id)


def _question(work: Work, intent: Json | None) -> Response:
    if intent is None:
        return _missing()
    pays = intent["object"] == "payment_intent"
    what = f"a payment of {shown(intent['amount'], intent['currency'])}" if pays else "to keep the card for later"
    error = intent["last_payment_error" if pays else "last_setup_error"]
    page = render_template("three_d_secure.html", intent=intent, what=what, error=error, last4=_last4(work, intent))
    return make_response(page)


def _last4(work: Work, intent: Json) -> str:
    card = work.find("payment_method", intent["payment_method"]) if intent["payment_method"] else None
    return str(last4_of(card)) if card else ""


def _answer(work: Work, intent: Json, *, approved: bool) -> Json:
    if intent["object"] == "setup_intent":
        return (setup.approve if approved else setup.refuse)(work, intent)
    return (payment.approve if approved else intents.holder_refused)(work, intent)


def _return_address(asked: Json, answered: Json) -> str | None:
    """Return the ``return_url`` with the parameters that Stripe adds to it, or None if there is none.

    https://docs.stripe.com/payments/payment-intents/verifying-status#checking-status-redirect
    """
    if asked["next_action"]["type"] != "redirect_to_url":
        return None
    url = urlsplit(asked["next_action"]["redirect_to_url"]["return_url"])
    added = {
        asked["object"]: asked["id"],
        f"{asked['object']}_client_secret": asked["client_secret"],
        "redirect_status": "succeeded" if answered["status"] == "succeeded" else "failed",
    }
    query = urlencode([*parse_qsl(url.query, keep_blank_values=True), *added.items()])
    return str(urlunsplit(url._replace(query=query)))


def _finalized(work: Work, invoice_id: str) -> Json | None:
    found = work.find("invoice", invoice_id)
    return found if found and found["hosted_invoice_url"] else None


def _invoice_page(work: Work, invoice: Json | None) -> Response:
    if invoice is None:
        return _missing()
    card = _card(work, invoice)
    page = render_template(
        "invoice.html",
        invoice=invoice,
        lines=lines_of(work, invoice["id"]),
        money=partial(shown, currency=invoice["currency"]),
        error=(intents.intent_of(work, invoice["id"]) or {}).get("last_payment_error"),
        method=_named(card) if card else None,
    )
    return make_response(page)


def _named(method: Json) -> str:
    kind = {"card": "the card", "link": "Link"}.get(method["type"], "the bank account")
    last4 = last4_of(method)
    return f"{kind} ending in {last4}" if last4 else kind


def _card(work: Work, invoice: Json) -> Json | None:
    if work.find("customer", invoice["customer"]) is None:
        return None
    subscription_id = subscription_of(invoice)
    subscription = work.find("subscription", subscription_id) if subscription_id else None
    return on_file.method(work, subscription, invoice["customer"])


def _pay(work: Work, invoice: Json) -> str:
    """Charge the card on file. Return the address of the bank's question if there is one, else that of the invoice."""
    page = str(invoice["hosted_invoice_url"])
    card = _card(work, invoice)
    if invoice["status"] != "open" or card is None:
        return page
    payment.charge(work, invoice, card, automatic=False, on_session=True, return_url=page)
    asked = (intents.intent_of(work, invoice["id"]) or {})["next_action"]
    return str(asked["redirect_to_url"]["url"]) if asked else page


def _text_lines(work: Work, invoice: Json) -> Iterator[str]:
    money = partial(shown, currency=invoice["currency"])
    yield f"Invoice {invoice['number']}"
    yield f"For {invoice['customer_name'] or invoice['customer_email'] or invoice['customer']}"
    yield f"Status: {invoice['status']}"
    yield ""
    rows = [(line["description"], line["amount"]) for line in lines_of(work, invoice["id"])]
    for name, amount in [*rows, ("Total", invoice["total"]), ("Amount due", invoice["amount_remaining"])]:
        yield _row(name, money(amount))


def _credit_note_text(work: Work, note: Json) -> Iterator[str]:
    money = partial(shown, currency=note["currency"])
    yield f"Credit note {note['number']}"
    yield f"Status: {note['status']}"
    yield note["memo"] or ""
    rows = [(line["description"] or "Credit", line["amount"]) for line in credit_notes.lines_of(work, note["id"])]
    for name, amount in [*rows, ("Total", note["total"])]:
        yield _row(name, money(amount))


def _row(name: str, amount: str) -> str:
    return f"{name[:_WIDTH]:<{_WIDTH}} {amount:>14}"
