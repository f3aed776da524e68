"""The fuzz targets: the webhook's view as in the web process, and the drain's reading and merging of events.

Each target takes the fuzzer's choices and fails by raising. ``ingress`` sends arbitrary requests. ``signed`` sends
bodies with a valid signature, which reach PostgreSQL. ``drained`` reads and merges the accepted events.
"""

import hashlib
import hmac
import io
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from flask import Flask
from sqlalchemy import insert, text

from gateway.app import build_gateway, create_app
from gateway.config import MAX_BODY_BYTES, Config
from gateway.db.models import Organization, WebhookEvent
from gateway.endpoints.request_context import EXTENSION
from gateway.errors import WebhookRefused
from gateway.logging import configure_logging
from gateway.services.mirror.merge import merge
from gateway.services.runtime import Gateway
from gateway.services.webhooks import inbox
from gateway.services.webhooks.drain import ClaimedEvent, read_event
from gateway.stripe_api.snapshots import UnreadableObject
from handlers import HANDLERS
from tests.fuzz import mutations
from tests.fuzz.mutations import Choices

SECRET = "whsec_fuzz"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
TYPES = (*sorted(HANDLERS), "charge.succeeded")
ROWS_KEPT = 2_000
"""The stage empties the inbox after this many deliveries."""
HEADERS = (
    "CONTENT_TYPE",
    "HTTP_HOST",
    "HTTP_USER_AGENT",
    "HTTP_TRANSFER_ENCODING",
    "HTTP_CONTENT_ENCODING",
    "HTTP_EXPECT",
)


class Complaints(logging.Handler):
    """Collects the logged errors and tracebacks.

    It ignores the alarm for a product that stands for no plan. No product here stands for one, so the alarm is right.
    """

    def __init__(self) -> None:
        super().__init__()
        self.logged: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        found = record.msg if isinstance(record.msg, dict) else {}  # structlog logs a dict
        if found.get("event") == "plan_unmapped":
            return
        if record.levelno >= logging.ERROR or record.exc_info or found.get("exc_info"):
            self.logged.append(repr(record.msg))


class FuzzedGateway:
    """The parts under test on a real database."""

    def __init__(self, url: str) -> None:
        configure_logging(logging.WARNING)
        self.complaints = Complaints()
        logging.getLogger().handlers = [self.complaints]
        config = Config(
            database_url=url,
            stripe_secret_key="sk_test_fuzz",
            stripe_webhook_secrets=(SECRET, "whsec_rolled"),
            jwt_development_secret="a secret that only the fuzzer knows",
        )
        built = build_gateway(config)
        self.gateway = Gateway(
            config=config,
            database=built.database,
            stripe=built.stripe,
            gate=built.gate,
            catalog=built.catalog,
            clock=lambda: NOW,
        )
        self.app: Flask = create_app(self.gateway)
        self.app.extensions[EXTENSION].wakeup.request_drain = lambda: None  # no worker runs, so jobs would only pile up
        self.outcomes: Counter[str] = Counter()
        """The number of runs by outcome."""
        self.stored: set[str] = set()
        """The ids of the stored events."""
        self.empty()

    def empty(self) -> None:
        """Empty the tables, and store an organization for each customer in the recorded events."""
        about = [each["data"]["object"] for each in mutations.RECORDED]
        customers = {each["id"] if each["object"] == "customer" else each.get("customer") for each in about}
        rows = [
            {"id": f"org_{number}", "stripe_customer_id": customer, "created_at": NOW}
            for number, customer in enumerate(sorted(filter(None, customers)))
        ]
        self.stored.clear()
        self.full_at = self.outcomes["200"] + ROWS_KEPT
        with self.gateway.database.transaction() as session:
            session.execute(text("TRUNCATE webhook_events, organizations CASCADE"))
            session.execute(insert(Organization), rows)

    def deliver(self, body: bytes, signature: str | None, more: Mapping[str, Any] = MappingProxyType({})) -> int:
        """Send one request as gunicorn passes it to Flask. Return the status, which must be one that Stripe may see."""
        if self.outcomes["200"] >= self.full_at:
            self.empty()
        environ = {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/webhooks/stripe",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            **more,
        }
        if signature is not None:
            environ["HTTP_STRIPE_SIGNATURE"] = signature
        statuses: list[str] = []
        answer = self.app.wsgi_app(environ, lambda status, *_: statuses.append(status))  # type: ignore[arg-type]  # Flask ignores the return value
        text = b"".join(answer).decode()
        status = int(statuses[0].split()[0])
        assert status in {200, 400, 413}, (statuses, text)
        assert "Traceback" not in text
        assert not self.complaints.logged, self.complaints.logged
        self.outcomes[str(status)] += 1
        return status


def signature_of(body: bytes, secret: str = SECRET, age: int = 0) -> str:
    """Return the signature header that Stripe would send. The SDK's own function accepts only text."""
    stamp = int((NOW - timedelta(seconds=age)).timestamp())
    return f"t={stamp},v1={hmac.new(secret.encode(), b'%d.' % stamp + body, hashlib.sha256).hexdigest()}"


def ingress(stage: FuzzedGateway, choices: Choices) -> None:
    """Send arbitrary headers and bodies."""
    more: dict[str, Any] = {
        name: mutations.printable(choices.ConsumeBytes(6)) for name in HEADERS if choices.ConsumeIntInRange(0, 3) == 0
    }
    choice, length = choices.ConsumeIntInRange(0, 5), choices.ConsumeIntInRange(0, 2 * MAX_BODY_BYTES)
    if choice == 0:
        more["CONTENT_LENGTH"] = str(length)
    elif choice == 1:
        more |= {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    padding = b" " * MAX_BODY_BYTES if choices.ConsumeIntInRange(0, 30) == 0 else b""
    kind = choices.ConsumeIntInRange(0, 4)
    mutated = mutations.event(choices, TYPES) if kind == 0 else None
    good = signature_of(mutated or b"", age=choices.ConsumeIntInRange(-1, 1) * 310)
    sent = mutations.header(choices, good) if choices.ConsumeIntInRange(0, 9) else None
    body = mutated if mutated is not None else choices.ConsumeBytes(choices.remaining_bytes())
    stage.deliver(body + padding, sent, more)


def signed(stage: FuzzedGateway, choices: Choices) -> None:
    """Send bodies with a valid signature, and check that the inbox stores each acknowledged body unchanged."""
    raw = choices.ConsumeIntInRange(0, 3) == 0  # with a seed, the raw bytes are a recorded event
    body = choices.ConsumeBytes(choices.remaining_bytes()) if raw else mutations.event(choices, TYPES)
    if stage.deliver(body, signature_of(body)) == HTTPStatus.OK:
        sent = inbox.build_row(stage.gateway, body, NOW)
        sent = sent if sent.type in HANDLERS else inbox.without_payload(sent)
        if sent.id not in stage.stored:  # the inbox keeps the first delivery
            stage.stored.add(sent.id)
            with stage.gateway.database.transaction() as session:
                kept = session.get_one(WebhookEvent, sent.id)
                assert sent._asdict() == {name: getattr(kept, name) for name in sent._fields}


def drained(stage: FuzzedGateway, choices: Choices) -> None:
    """Read an accepted event, and check that its observations can be merged and stored. It may also be unreadable."""
    body = mutations.event(choices, TYPES, envelope=False)
    try:
        row = inbox.build_row(stage.gateway, body, NOW)
        observations = read_event(ClaimedEvent(row.id, row.type, row.object_id, row.payload), HANDLERS).observations
    except (WebhookRefused, UnreadableObject) as refused:
        stage.outcomes[type(refused).__name__] += 1
        return
    with stage.gateway.database.transaction() as session:
        outcomes = merge(session, observations, NOW)
        session.flush()
        session.rollback()
    stage.outcomes.update(outcomes)
    assert not stage.complaints.logged, stage.complaints.logged


Target = Callable[[FuzzedGateway, Choices], None]
TARGETS: Mapping[str, Target] = MappingProxyType({"ingress": ingress, "signed": signed, "drained": drained})
