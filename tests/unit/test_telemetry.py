"""Without the extra, nothing is recorded, and an address of a collector is refused."""

import re
import sys
from datetime import UTC, datetime

import pytest

from gateway import telemetry
from gateway.config import ConfigError
from tests.support.documents import ROOT

IMPORT = re.compile(r"^\s*(?:from|import) opentelemetry", re.MULTILINE)
NOW = datetime(2026, 11, 30, tzinfo=UTC)


def test_nothing_is_recorded_without_a_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(telemetry.ENDPOINT, raising=False)
    telemetry.start_from_environment()
    with telemetry.span("request") as note:
        note(status=200)
        assert telemetry.get_traceparent() is None
    assert telemetry.record_span("event", None, NOW, NOW) is None
    assert not telemetry.is_on()


def test_collector_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"Install konnect-stripe-gateway\[telemetry\]"):
        telemetry.start_from_environment()


def test_only_one_file_imports_opentelemetry() -> None:
    files = (ROOT / "gateway").rglob("*.py")
    importing = {path.name for path in files if IMPORT.search(path.read_text(encoding="utf-8"))}
    assert importing == {"telemetry.py"}
