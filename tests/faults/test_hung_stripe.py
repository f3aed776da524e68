"""A Stripe that accepts connections but never answers. Only requests that need it fail, and they fail fast."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import requests

from tests.faults.changes import assert_ended, await_end
from tests.faults.conftest import NewDatabase
from tests.support.bulk_events import requests as deliveries
from tests.support.deployment import Deployment, deployed
from tests.support.processes import Process, await_port, free_port, running
from tests.support.wait import eventually

PERSON_WAITS = 10  # seconds, the bound for all calls of one request
SOON = 3  # seconds in which a process answers requests that need no Stripe, on a busy machine too
PREVIEWS = 70
ORGANIZATIONS = tuple(f"org_{number}" for number in range(7))


@dataclass
class Hanging:
    """A web deployment, and a Stripe process that a test can stop."""

    web: Deployment
    sandbox: Process

    def hang(self) -> None:
        """Stop Stripe from answering."""
        self.sandbox.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let Stripe continue, beginning with the requests that arrived while it hung."""
        self.sandbox.send(signal.SIGCONT)

    def preview(self, organization_id: str = ORGANIZATIONS[0]) -> requests.Response:
        return self.web.api(organization_id, "POST", "/subscription/preview", plan="plus", quantity=2)

    def change(self, organization_id: str) -> requests.Response:
        """Upgrade, with the same idempotency key each time."""
        return self.web.api(organization_id, "PATCH", "/subscription", key="upgrade", plan="plus")

    @contextmanager
    def flooded(self) -> Iterator[list[Future[requests.Response]]]:
        """Request many previews at a time."""
        with ThreadPoolExecutor(PREVIEWS) as pool:
            asking = itertools.islice(itertools.cycle(ORGANIZATIONS), PREVIEWS)
            yield [pool.submit(self.preview, organization_id) for organization_id in asking]

    def open_breakers(self) -> None:
        """Flood both web processes until neither calls Stripe any more."""
        with self.flooded():
            pass
        eventually(lambda: self.web.said().count("stripe_breaker_opened") == 2)


@pytest.fixture
def hanging(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Hanging]:
    """Deploy web without a worker, and enrol some organizations."""
    with new_database(server) as url, TemporaryDirectory(dir=directory) as path:
        logs, port = Path(path), free_port()
        sandbox_log = logs / "sandbox"  # not a .log, because it is Stripe's
        with running(["-m", "gateway", "sandbox", f"--port={port}"], {}, sandbox_log) as sandbox:
            await_port(port)
            with deployed(url, logs, sandbox_url=f"http://127.0.0.1:{port}") as web:
                web.serve()
                for organization_id in ORGANIZATIONS:
                    web.enrol(organization_id)
                yield Hanging(web, sandbox)


def seconds(call: Callable[[], object]) -> float:
    """Return how many seconds a call takes."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def assert_unavailable(answer: requests.Response) -> None:
    assert (answer.status_code, answer.json()["code"]) == (503, "stripe_unavailable")
    assert int(answer.headers["Retry-After"]) > 0


def test_health_reads_and_webhooks_go_on_while_stripe_hangs(hanging: Hanging) -> None:
    bodies = itertools.cycle([delivery.partition(b"\r\n\r\n")[2] for delivery in deliveries(20, 20)])
    unaffected: tuple[Callable[[], requests.Response], ...] = (
        lambda: requests.get(f"http://127.0.0.1:{hanging.web.port}/health/live", timeout=60),
        lambda: hanging.web.api(ORGANIZATIONS[0], "GET", "/subscription"),
        lambda: hanging.web.deliver(next(bodies)),
    )
    hanging.hang()
    with hanging.flooded() as previews:
        began = time.monotonic()
        slowest, rounds = 0.0, 0
        while not all(preview.done() for preview in previews):
            for call in unaffected:
                asked = time.monotonic()
                assert call().status_code == 200
                slowest = max(slowest, time.monotonic() - asked)
            rounds += 1
        took = time.monotonic() - began
    assert rounds > 1, "the flood was over"
    assert slowest < SOON
    assert PERSON_WAITS - 1 < took < PERSON_WAITS + 2 * SOON
    for preview in previews:
        assert_unavailable(preview.result())


def test_an_open_breaker_is_named_and_closes_by_itself(hanging: Hanging) -> None:
    hanging.hang()
    hanging.open_breakers()
    hanging.resume()
    found = hanging.web.command("doctor").stdout
    assert "Stripe: the key works" in found
    assert "a circuit breaker is open" in found
    counts = hanging.web.metrics()
    assert "gateway_stripe_breaker_open 1.0" in counts
    assert 'gateway_stripe_breaker_transitions_total{state="open"} 2.0' in counts
    assert 'gateway_stripe_calls_refused_total{reason="threads"}' in counts
    assert 'gateway_stripe_call_seconds_count{outcome="silent"}' in counts
    eventually(lambda: hanging.preview().ok and hanging.web.said().count("stripe_breaker_closed") == 2)
    assert hanging.web.said().count("stripe_breaker_opened") == 2


def test_a_change_that_the_breaker_refuses_leaves_nothing_behind(hanging: Hanging) -> None:
    hanging.hang()
    hanging.open_breakers()
    for organization_id in ORGANIZATIONS:
        asked = time.monotonic()
        answer = hanging.change(organization_id)
        if answer.status_code == 503:  # the others were probes, if the machine is slow
            break
    assert_unavailable(answer)
    assert time.monotonic() - asked < SOON
    [enrolment] = hanging.web.ok(organization_id, "GET", "/subscription/changes")["data"]
    assert enrolment["to_plan"] == "free"
    hanging.resume()
    eventually(lambda: hanging.change(organization_id).status_code == 200)
    assert_ended(hanging.web, organization_id, "applied")


def test_a_change_without_an_answer_in_time_ends_by_its_job(hanging: Hanging) -> None:
    hanging.hang()
    asked = time.monotonic()
    answer = hanging.change(ORGANIZATIONS[0])
    assert PERSON_WAITS - 1 < time.monotonic() - asked < PERSON_WAITS + SOON
    assert answer.status_code == 202
    assert answer.headers["Location"].endswith(answer.json()["id"])
    hanging.resume()
    hanging.web.work()
    await_end(hanging.web)
    assert_ended(hanging.web, ORGANIZATIONS[0], "applied")
