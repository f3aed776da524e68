"""The sandbox's own interface at ``/_sandbox/…``, which Stripe does not have.

It takes and returns JSON and needs no API key.
"""

import math

from flask import Blueprint, Response, request

from gateway.sandbox import encoding, faults
from gateway.sandbox.billing import disputes, redemption
from gateway.sandbox.clock import LATEST, Clock
from gateway.sandbox.engine import Engine
from gateway.sandbox.errors import StripeError, invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.outbox import Outbox


def blueprint(engine: Engine, clock: Clock, outbox: Outbox) -> Blueprint:
    """Return the routes. They answer an error as ``{"error": {"type", "message", "param"}}``."""
    control = Blueprint("control", __name__, url_prefix="/_sandbox")
    _faults(control, engine, outbox)
    _cards(control, engine)
    _done_elsewhere(control, engine)

    @control.get("/clock")
    def show_clock() -> Response:
        return _json({"now": int(clock())})

    @control.post("/clock")
    def advance_clock() -> Response:
        seconds = _seconds_ahead(_body())
        if clock() + seconds > LATEST:
            raise invalid("The clock cannot be moved beyond 2100.", param="advance")
        clock.advance(seconds)
        with engine.lock:
            engine.time.catch_up(int(clock()))
        return _json({"now": int(clock())})

    @control.get("/settings")
    def show_settings() -> Response:
        return _json(engine.settings.shown())

    @control.post("/settings")
    def change_settings() -> Response:
        engine.settings = engine.settings.changed(_body())
        return _json(engine.settings.shown())

    @control.post("/events/<event>/resend")
    def resend(event: str) -> Response:
        with engine.lock:
            urls = outbox.resend(event)
        return _json({"event": event, "sent_to": urls})

    @control.errorhandler(StripeError)
    def refused(error: StripeError) -> Response:
        return _json({"error": error.fields}, error.status)

    return control


def _done_elsewhere(control: Blueprint, engine: Engine) -> None:
    """Add what cardholders, banks and older API versions do at Stripe."""

    @control.post("/disputes")
    def open_dispute() -> Response:
        body = _object(_body(), {"charge", "amount", "reason"})
        with engine.visit(str(body.get("charge"))) as work:
            charge = work.get("charge", str(body.get("charge")), param="charge")
            amount, reason = body.get("amount", charge["amount"]), body.get("reason", "fraudulent")
            if not isinstance(amount, int) or not isinstance(reason, str):
                raise invalid("The amount must be an integer, and the reason a text.", param="amount")
            return _json(disputes.open_dispute(work, charge, amount, reason), 201)

    @control.post("/disputes/<dispute>")
    def decide_dispute(dispute: str) -> Response:
        status = _object(_body(), {"status"}).get("status")
        if status not in ("won", "lost"):
            raise invalid("The status must be won or lost.", param="status")
        with engine.visit(dispute) as work:
            return _json(disputes.close(work, work.get("dispute", dispute), status))

    @control.post("/customers/<customer>/discount")
    def discount_customer(customer: str) -> Response:
        with engine.visit(customer) as work:
            return _json(redemption.give_to_customer(work, customer, _body()), 201)


def _faults(control: Blueprint, engine: Engine, outbox: Outbox) -> None:
    @control.post("/faults")
    def add_fault() -> Response:
        fault = faults.read(_body())
        engine.faults.add(fault)
        return _json(fault.shown(), 201)

    @control.get("/faults")
    def list_faults() -> Response:
        return _json({"faults": engine.faults.shown()})

    @control.delete("/faults")
    def clear_faults() -> Response:
        with engine.lock:
            engine.faults.clear()
            outbox.release()
        return _json({"faults": []})


def _cards(control: Blueprint, engine: Engine) -> None:
    @control.post("/payment_methods/<method>/automatically_update")
    def update_card(method: str) -> Response:
        changes = _new_expiry(_body())
        with engine.visit(method) as work:
            found = work.get("payment_method", method, param="payment_method")
            if found["type"] != "card":
                raise invalid("Only a card is updated automatically.")
            changed = {"card": found["card"] | changes}
            return _json(work.update(found, changed, "payment_method.automatically_updated"))


def _new_expiry(body: object) -> Json:
    if isinstance(body, dict) and body.keys() == {"exp_month", "exp_year"}:
        month, year = body["exp_month"], body["exp_year"]
        if type(month) is type(year) is int and 1 <= month <= 12:  # noqa: PLR2004 - the months of a year
            return body
    raise invalid('The body must be {"exp_month": month, "exp_year": year} with whole numbers.')


def _seconds_ahead(body: object) -> float:
    seconds = body.get("advance") if isinstance(body, dict) and body.keys() == {"advance"} else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise invalid('The body must be {"advance": seconds} with a number above 0.', param="advance")
    return seconds


def _object(body: object, names: set[str]) -> Json:
    if not isinstance(body, dict) or not body.keys() <= names:
        raise invalid(f"The body must be a JSON object of {', '.join(sorted(names))}.")
    return body


def _body() -> object:
    """Return the JSON body. Ignore its content type, because curl's ``-d`` declares a form."""
    body = request.get_json(force=True, silent=True)
    if body is None:
        raise invalid("The body must be JSON.")
    return body


def _json(answer: Json, status: int = 200) -> Response:
    return Response(encoding.dump(answer) + b"\n", status, content_type="application/json")
