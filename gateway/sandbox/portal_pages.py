"""The customer portal in a browser. It offers what the session's configuration allows."""

from functools import partial

from flask import Blueprint, Response, make_response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.sandbox.currencies import shown
from gateway.sandbox.engine import Engine
from gateway.sandbox.errors import StripeError
from gateway.sandbox.json_types import Json
from gateway.sandbox.objects.payment_method import last4_of
from gateway.sandbox.objects.portal import CONFIGURATION, SESSION
from gateway.sandbox.objects.special_cards import BY_PAYMENT_METHOD
from gateway.sandbox.resources import customers, payment_methods, tax_ids
from gateway.sandbox.work import Work

_SEE_OTHER = 303


def blueprint(engine: Engine) -> Blueprint:
    """Return the pages of portal sessions."""
    pages = Blueprint("portal", __name__)

    @pages.get("/p/session/<session_id>")
    def show(session_id: str) -> Response:
        with engine.visit(session_id) as work:
            return _page(work, session_id)

    @pages.post("/p/session/<session_id>")
    def act(session_id: str) -> AnyResponse:
        with engine.visit(session_id) as work:
            session = work.find(SESSION, session_id)
            if session is None:
                return _page(work, session_id)
            try:
                _act(work, session["customer"], _features(work, session))
            except StripeError as error:
                return _page(work, session_id, error)
        return redirect(session["url"], _SEE_OTHER)

    return pages


def _features(work: Work, session: Json) -> Json:
    features: Json = work.get(CONFIGURATION, session["configuration"])["features"]
    return features


def _act(work: Work, customer: str, features: Json) -> None:
    """Do what the form asks for, if the configuration allows it. Other forms do nothing."""
    form = request.form.to_dict()
    method = form.get("payment_method", "")
    if features["payment_method_update"]["enabled"]:
        if form.get("do") == "add_card":
            method = payment_methods.attach(work, {"customer": customer}, form["card"])["id"]
        if form.get("do") in ("add_card", "make_default"):
            customers.update(work, {"invoice_settings": {"default_payment_method": method}}, customer)
        if form.get("do") == "remove_card":
            payment_methods.detach(work, {}, method)
    if "tax_id" in features["customer_update"]["allowed_updates"]:
        if form.get("do") == "add_tax_id":
            tax_ids.create(work, {"type": form["type"], "value": form["value"]}, customer)
        if form.get("do") == "remove_tax_id":
            tax_ids.delete(work, {}, customer, form["tax_id"])


def _page(work: Work, session_id: str, error: StripeError | None = None) -> Response:
    session = work.find(SESSION, session_id)
    customer = work.find("customer", session["customer"]) if session else None
    if session is None or customer is None:
        return make_response(render_template("missing.html"), 404)
    invoices = [each for each in work.select("invoice", customer["id"]) if each["hosted_invoice_url"]]
    page = render_template(
        "portal.html",
        session=session,
        customer=customer,
        features=_features(work, session),
        error=error,
        cards=[(each, last4_of(each)) for each in work.select("payment_method", customer["id"])],
        default=customer["invoice_settings"]["default_payment_method"],
        test_cards=sorted(BY_PAYMENT_METHOD),
        tax_ids=list(work.select("tax_id", customer["id"])),
        invoices=[(each, partial(shown, currency=each["currency"])) for each in invoices],
    )
    return make_response(page)
