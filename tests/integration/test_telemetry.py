"""A click, its calls to Stripe, the event and the row of the plan table are one trace."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway import telemetry
from tests.support.api import ApiClient
from tests.support.world import World

TRACE, CLICK = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEADERS = {"traceparent": f"00-{TRACE}-{CLICK}-01"}


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    found = InMemorySpanExporter()
    telemetry.start(SimpleSpanProcessor(found))
    yield found
    telemetry.stop()


def upgrade(world: World) -> int:
    headers = {"Authorization": f"Bearer {world.token()}", **HEADERS}
    with world.client.patch("/v1/subscription", json={"plan": "plus"}, headers=headers) as answer:
        return answer.status_code


def read_trace(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    """Return the spans of the click's trace by their names."""
    found: dict[str, list[ReadableSpan]] = {}
    for each in exporter.get_finished_spans():
        if each.context is not None and f"{each.context.trace_id:032x}" == TRACE:
            found.setdefault(each.name, []).append(each)
    return found


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return f"{span.parent.span_id:016x}"


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.span_id:016x}"


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


@pytest.mark.usefixtures("api")
def test_change_that_webhooks_bring_is_one_trace(world: World, exporter: InMemorySpanExporter) -> None:
    world.fault("error_after", method="POST", path="/v1/subscriptions/*")
    world.fault("error_before", method="GET", path="/v1/subscriptions/*", times=20)  # only the webhook shows the change
    assert upgrade(world) == 202
    world.await_deliveries()
    world.work()
    assert world.plan_row().plan == "plus"
    spans = read_trace(exporter)
    [request], [event], [row] = spans["request"], spans["event"], spans["plan_row"]
    assert (parent_of(request), attribute(request, "status")) == (CLICK, 202)
    assert {parent_of(each) for each in spans["stripe_call"]} == {id_of(request)}
    assert (parent_of(event), parent_of(row)) == (id_of(request), id_of(event))
    assert str(attribute(event, "event_id")).startswith("evt_")
    assert attribute(row, "plan") == "plus"


@pytest.mark.usefixtures("api")
def test_trace_of_an_answered_change_gets_its_event_too(world: World, exporter: InMemorySpanExporter) -> None:
    assert upgrade(world) == 200
    world.settle()
    spans = read_trace(exporter)
    calls = [attribute(each, "stripe_request_id") for each in spans["stripe_call"]]
    assert str(calls[0]).startswith("req_")
    assert (len(spans["merge"]), len(spans["event"]), "plan_row" in spans) == (1, 1, False)


def test_failed_span_says_nothing_of_the_error(api: ApiClient, exporter: InMemorySpanExporter) -> None:
    assert api.ok("GET", "/subscription")
    with pytest.raises(ValueError, match="ada@"), telemetry.span("job"):
        raise ValueError("ada@ada.example")
    assert "ada@" not in "".join(each.to_json() for each in exporter.get_finished_spans())
