"""Record traces with OpenTelemetry. No other file imports it, and without the extra ``telemetry`` nothing is recorded.

A span's attributes may hold ids, and no name, address or body.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from gateway.config import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Tracer

Value = str | int | float | None
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"  # https://opentelemetry.io/docs/specs/otel/protocol/exporter/
NO_EXTRA = f"{ENDPOINT} is set, and the extra is missing. Install konnect-stripe-gateway[telemetry]."

_tracers: list["Tracer"] = []
"""The tracer of this process, once ``start`` has run."""


def start_from_environment() -> None:
    """Send traces to a collector if the environment names one. Raise ConfigError if the extra is not installed."""
    if not os.environ.get(ENDPOINT):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - an extra
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ConfigError(NO_EXTRA) from error
    start(BatchSpanProcessor(OTLPSpanExporter()))


def start(processor: "SpanProcessor") -> None:
    """Record traces in this process from now on, and pass each span to ``processor``."""
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - an extra

    name = os.environ.get("OTEL_SERVICE_NAME", "konnect-stripe-gateway")
    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: name}))
    provider.add_span_processor(processor)
    _tracers[:] = [provider.get_tracer("gateway")]


def stop() -> None:
    """Record nothing from now on."""
    _tracers.clear()


def is_on() -> bool:
    """Return whether traces are recorded."""
    return bool(_tracers)


@contextmanager
def span(name: str, parent: str | None = None, **attributes: Value) -> Iterator[Callable[..., None]]:
    """Record the block as a span of the present trace, or of the ``traceparent`` that is given.

    Yield a function that adds attributes. An exception marks the span as failed. Its text is left out.
    """
    if not _tracers:
        yield ignore
        return
    from opentelemetry.trace import StatusCode  # noqa: PLC0415 - an extra

    with _tracers[0].start_as_current_span(
        name, context=read_parent(parent), record_exception=False, set_status_on_exception=False
    ) as current:

        def add(**more: Value) -> None:
            current.set_attributes({key: value for key, value in more.items() if value is not None})

        add(**attributes)
        try:
            yield add
        except BaseException:
            current.set_status(StatusCode.ERROR)
            raise


def record_span(name: str, parent: str | None, began: datetime, ended: datetime, **attributes: Value) -> str | None:
    """Record what has happened as a span below ``parent``. Return the ``traceparent`` for spans below it."""
    if not _tracers:
        return None
    from opentelemetry import trace  # noqa: PLC0415 - an extra

    known = {key: value for key, value in attributes.items() if value is not None}
    past = _tracers[0].start_span(name, context=read_parent(parent), attributes=known, start_time=to_ns(began))
    past.end(to_ns(ended))
    return write_parent(trace.set_span_in_context(past))


def get_traceparent() -> str | None:
    """Return the present span as a ``traceparent``, or None if nothing is recorded."""
    return write_parent(None) if _tracers else None


def read_parent(traceparent: str | None) -> "Context | None":
    """Return the context that a ``traceparent`` names, or None for the present one.

    https://www.w3.org/TR/trace-context/#traceparent-header
    """
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

    return None if traceparent is None else TraceContextTextMapPropagator().extract({"traceparent": traceparent})


def write_parent(context: "Context | None") -> str | None:
    """Return the span of a context, or the present one, as a ``traceparent``."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - an extra

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier, context)
    return carrier.get("traceparent")


def to_ns(moment: datetime) -> int:
    """Return a time as OpenTelemetry counts it, in nanoseconds since 1970."""
    return round(moment.timestamp() * 1_000_000) * 1000


def ignore(**_attributes: Value) -> None:
    """Add attributes to no span."""
