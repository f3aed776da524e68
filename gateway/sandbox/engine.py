"""The path of a request through authentication, parameter checks, idempotency and its unit of work."""

import hashlib
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from gateway.sandbox import clocks, encoding, forms, params
from gateway.sandbox.errors import StripeError, invalid, not_built, server_error
from gateway.sandbox.events import API_VERSION
from gateway.sandbox.expand import expand
from gateway.sandbox.faults import Faults
from gateway.sandbox.idempotency import MAX_LENGTH, Answer, IdempotencyKeys
from gateway.sandbox.ids import Ids
from gateway.sandbox.json_types import Json
from gateway.sandbox.routing import Route
from gateway.sandbox.settings import Settings
from gateway.sandbox.store import Store
from gateway.sandbox.timekeeper import Timekeeper
from gateway.sandbox.work import Work

_VERSION = re.compile(r"^\d{4}-\d{2}-\d{2}(\.[a-z]+)?$")
_FORMS = ("", "application/x-www-form-urlencoded", "multipart/form-data")
V2 = "/v2/"
"""What the paths of the API of v2 begin with. Its bodies are JSON. https://docs.stripe.com/api-v2-overview"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Call:
    """A request as received."""

    method: str
    path: str
    pairs: list[tuple[str, str]]
    authorization: str = ""
    version: str = ""
    idempotency_key: str | None = None
    content_type: str = ""
    body: bytes = b""
    """The JSON body of a request to v2."""


@dataclass(frozen=True)
class Reply:
    """An answer to a request.

    ``replayed`` marks an answer saved under an idempotency key. ``lost`` marks one that must not reach the client.
    """

    answer: Answer
    replayed: bool = False
    lost: bool = False


@dataclass
class Engine:
    """The sandbox's state and the handling of requests.

    One lock covers a request's work from the first read to the commit.
    """

    clock: Callable[[], float]
    ids: Ids
    deliver: Callable[[list[Json]], None]
    url: str = ""
    settings: Settings = field(default_factory=Settings)
    store: Store = field(default_factory=Store)
    keys: IdempotencyKeys = field(default_factory=IdempotencyKeys)
    faults: Faults = field(default_factory=Faults)
    lock: threading.Lock = field(default_factory=threading.Lock)
    time: Timekeeper = field(init=False)

    def __post_init__(self) -> None:
        self.time = Timekeeper(self.store, lambda: self.settings, self.begin, self.commit)

    def begin(self, now: int, request: Json | None = None) -> Work:
        """Open a unit of work at ``now``. Without ``request``, its events name no request, as in a renewal."""
        caused = request or {"id": None, "idempotency_key": None}
        return Work(self.store, self.ids, now, self.url, caused, self.settings)

    def commit(self, work: Work) -> None:
        """Commit the work, schedule what it made due and deliver its events."""
        work.commit()
        self.time.watch(work.changes)
        self.deliver(work.new_events())

    def let_time_pass(self) -> None:
        """Do everything that is due, and advance test clocks to their targets.

        The lock is released after each step of a test clock, so requests do not wait until the clock arrives.
        """
        with self.lock:
            self.time.catch_up(int(self.clock()))
        for clock in list(self.time.advancing):
            arrived = False
            while not arrived:
                with self.lock:
                    arrived = not self.time.advance(clock)

    def handle(self, call: Call, route: Route | None, names: dict[str, str]) -> Reply:
        """Serve one call. Every failure becomes Stripe's error body."""
        with self.lock:
            request_id = self.ids.request()
        try:
            api_key = _authenticate(call)
            if route is None:
                raise _unrecognized(call)
            given = params.read(_decode(call), route.shape)
            _refuse_publishable(api_key, call, given)
            params.refuse_unbuilt(given, route.built, f"{route.method} {route.path}")
            order = _Order(call, route, given, names, request_id)
            if limited := self.faults.limit(call.method, call.path):
                raise limited
            if call.method != "POST" or not call.idempotency_key:
                return self._answer(order)
            return self._answer_once(order, api_key, call.idempotency_key)
        except StripeError as error:
            return Reply(failure(error, request_id))

    def _answer_once(self, order: "_Order", api_key: str, key: str) -> Reply:
        """Do the work unless this idempotency key already has an answer. Each API key has its own idempotency keys."""
        if len(key) > MAX_LENGTH:
            raise invalid(f"Idempotency keys can only be up to {MAX_LENGTH} characters long.")
        own = f"{api_key}\n{key}"
        call = order.call
        fingerprint = hashlib.sha256(repr((call.path, sorted(call.pairs), call.body)).encode()).hexdigest()
        kept = self.keys.claim(own, key, fingerprint, self.clock())
        if kept:
            return Reply(kept, replayed=True)
        reply = self._answer(order)
        if call.path.startswith(V2) and reply.answer.status != HTTPStatus.OK:
            self.keys.release(own)
        else:
            self.keys.keep(own, reply.answer)
        return reply

    def _answer(self, order: "_Order") -> Reply:
        """Do the work and return its answer, or the failure that a requested fault puts in its place."""
        call = order.call
        if error := self.faults.before(call.method, call.path):
            return Reply(failure(error, order.request_id))
        answer = self._work(order)
        fault = self.faults.after(call.method, call.path)
        if fault and fault.kind == "error_after":
            return Reply(failure(server_error(), order.request_id))
        return Reply(answer, lost=fault is not None)

    def _work(self, order: "_Order") -> Answer:
        call = order.call
        key = call.idempotency_key if call.method == "POST" else None
        request = {"id": order.request_id, "idempotency_key": key}
        with self.lock:
            self.time.catch_up(int(self.clock()))
            try:
                clock = clocks.clock_of(self.store, order.names.values(), order.given)
                if clock and call.method != "GET":
                    clocks.refuse_if_advancing(clock)
                work = self.begin(self._moment(clock), request)
                result = order.route.handler(work, order.given, **order.names)
                result = expand(work, result, order.given.get("expand") or [])
                self.commit(work)
            except StripeError as error:
                return failure(error, order.request_id)
            except Exception:  # noqa: BLE001 - the client must get Stripe's 500 for every failure
                _log.exception("The sandbox failed on %s %s", call.method, call.path)
                return failure(server_error(), order.request_id)
        if work.failure:
            return failure(work.failure, order.request_id)
        return Answer(200, encoding.dump(result), order.request_id)

    @contextmanager
    def visit(self, object_id: str) -> Iterator[Work]:
        """Open a unit of work for a page about this object, at the time of the object's clock. Commit it at the end."""
        with self.lock:
            self.time.catch_up(int(self.clock()))
            work = self.begin(self._moment(clocks.clock_of(self.store, [object_id], {})))
            yield work
            self.commit(work)

    def _moment(self, clock: Json | None) -> int:
        return int(clock["frozen_time"] if clock else self.clock())


@dataclass(frozen=True)
class _Order:
    """A call that passed its checks."""

    call: Call
    route: Route
    given: Json
    names: dict[str, str]
    request_id: str


def _decode(call: Call) -> Json:
    """Return the parameters as nested objects of strings."""
    if call.path.startswith(V2):
        return forms.decode(call.pairs) | encoding.load(call.body)
    if call.content_type not in _FORMS:
        raise invalid(f"Parameters must be form-encoded, not {call.content_type}.")
    return forms.decode(call.pairs)


def _authenticate(call: Call) -> str:
    scheme, _blank, key = call.authorization.partition(" ")
    if scheme == "Basic":
        key = encoding.basic_user(key)
    if not key:
        raise invalid(_NO_KEY, status=401)
    if not key.startswith(("sk_test_", "rk_test_", "pk_test_")):
        raise invalid(f"Invalid API Key provided: {key[:8]}****", status=401)
    if call.version not in ("", API_VERSION):
        raise _other_version(call.version)
    return key


def _refuse_publishable(key: str, call: Call, given: Json) -> None:
    """Refuse a publishable key without an intent's client secret, except to take a card (https://docs.stripe.com/keys)."""
    takes_card = (call.method, call.path) == ("POST", "/v1/payment_methods")
    if key.startswith("pk_test_") and not takes_card and not given.get("client_secret"):
        text = "This API call cannot be made with a publishable API key. Please use a secret API key."
        raise invalid(text, code="secret_key_required", status=401)


def _other_version(version: str) -> StripeError:
    if _VERSION.match(version):
        return not_built(f"the API version {version}, only {API_VERSION}")
    return StripeError(400, "invalid_request_error", f"Invalid Stripe API version: {version}", request_log_url="")


_NO_KEY = (
    "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
    "auth (e.g. "
    "'Authorization: Bearer YOUR_SECRET_KEY'). See https://stripe.com/docs/api#authentication for details, or we "
    "can help at "
    "https://support.stripe.com/."
)


def _unrecognized(call: Call) -> StripeError:
    text = (
        f"Unrecognized request URL ({call.method}: {call.path}). The local sandbox has no such route. If Stripe "
        "has it, use a Stripe test-mode account for it."
    )
    return invalid(text, status=404)


def failure(error: StripeError, request_id: str) -> Answer:
    """Return the error answer. Only the error for an unknown API version has no link to the request's log."""
    fields = {"request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}"} | error.fields
    shown = {name: value for name, value in fields.items() if value != ""}
    return Answer(error.status, encoding.dump({"error": shown}), request_id, error.headers)
