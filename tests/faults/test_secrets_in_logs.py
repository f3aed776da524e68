"""Nothing that web, worker and gunicorn log holds a secret or a query string."""

import json

import pytest

from gateway.auth import issue_development_token
from tests.faults.raw_http import bearer, exchange, head
from tests.support.deployment import Deployment, sign
from tests.support.wait import eventually

MARK = "query_string_that_nobody_may_log"
NAME, EMAIL = "Ada whom nobody may log", "ada.whom.nobody.may.log@ada.example"


def test_no_line_of_a_log_holds_a_secret(own: Deployment) -> None:
    own.serve()
    own.work()
    own.enrol("org_logs")
    token = issue_development_token(own.gateway.config, "org_logs", own.gateway.clock())
    own.ok("org_logs", "PUT", "/billing-details", name=NAME, email=EMAIL, address=None, tax_ids=[])
    intent = own.ok("org_logs", "POST", "/billing-details/setup-intent")["client_secret"]
    quote = own.ok("org_logs", "POST", "/subscription/preview", plan="plus")["token"]
    signature = sign(b"{}")
    send_requests_with_secrets(own, token, signature, quote)
    own.fault("error_before", path="/v1/subscriptions/*", times=3)
    own.api("org_logs", "PATCH", "/subscription", quote=quote)
    poison = {"id": "seti_1", "object": "setup_intent", "client_secret": intent, "payment_method": 7}
    own.deliver(event("evt_poison", "setup_intent.succeeded", poison))
    own.deliver(event("evt_poison_2", "customer.subscription.updated", {"id": "sub_1", "client_secret": intent}))
    # The worker logs that it could not read them.
    eventually(lambda: own.states("evt_poison", "evt_poison_2") != ["pending", "pending"])
    eventually(lambda: "evt_poison_2" in own.said())
    for secret in (
        token,
        token.split(".")[2],
        intent,
        intent.partition("_secret_")[2],
        quote,
        signature,
        signature.partition("v1=")[2],
        MARK,
        NAME,
        EMAIL,
        r"\u2022",  # the dots in the label of a card, as JSON has them
        own.environment["STRIPE_SECRET_KEY"],
        own.environment["GATEWAY_JWT_DEVELOPMENT_SECRET"],
        *own.environment["STRIPE_WEBHOOK_SECRETS"].split(","),
    ):
        assert secret not in own.said()


def send_requests_with_secrets(stage: Deployment, token: str, signature: str, quote: str) -> None:
    """Send secrets in every place from which a careless log would take them."""
    authorization = bearer(stage, "org_logs")
    for request, status in (
        (head(f"GET /v1/subscription?quote={quote}&{MARK}=1", authorization, f"Referer: https://x/?{MARK}"), 200),
        (head(f"DELETE /v1/subscription?{MARK}=1", authorization), 422),
        (head(f"GET /nowhere?{MARK}", f"Authorization: Basic {MARK}"), 404),
        (
            head(f"POST /webhooks/stripe?{MARK}", f"Stripe-Signature: {signature}", "Transfer-Encoding: chunked")
            + b"ZZ\r\n",
            400,
        ),
        (head("POST /webhooks/stripe", f"Stripe-Signature: {signature}", "Content-Length: 2") + b"{}", 400),
        (head(f"get /v1/subscription?{MARK}", authorization), 400),
        (head(f"GET /v1/subscription?{MARK}", authorization.replace(":", "")), 400),
        (head(f"GET /v1/subscription?{MARK}", authorization, f"Transfer-Encoding: {token}"), 501),
        (head(f"GET /v1/subscription?{MARK}", authorization, f"Expect: {token}"), 417),
        (head(f"GET /?{token}" + "x" * 5_000), 414),
        # Its body never comes, so the gateway stops waiting.
        (head(f"GET /v1/subscription?{MARK}", authorization, "Content-Length: 2", "Transfer-Encoding: chunked"), 408),
        (f"{token} {quote} {MARK}\r\n\r\n".encode(), 400),
    ):
        assert exchange(stage.port, request).status == status


def event(event_id: str, event_type: str, about: dict[str, object]) -> bytes:
    envelope = {"id": event_id, "object": "event", "type": event_type, "created": 1_795_000_000, "livemode": False}
    return json.dumps({**envelope, "api_version": "2026-10-28.endive", "data": {"object": about}}).encode()


@pytest.mark.parametrize("path", ["/a%0Ab", "/a%0D%0Ab"])
def test_path_cannot_forge_a_line_of_the_log(running: Deployment, path: str) -> None:
    exchange(running.port, head(f"GET {path}"))
    eventually(lambda: f'"path": "{path}", "status": 404' in running.said())
