"""The names that callers and operators rely on: routes, error codes, metrics and commands.

The committed documents are ``docs/openapi.json`` and ``docs/interface.json``. ``make interface`` regenerates them.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from flask.testing import FlaskClient
from prometheus_client.metrics import MetricWrapperBase

from gateway import errors
from gateway import metrics as counts
from gateway.cli import cli
from gateway.endpoints.metrics import gauges
from gateway.services.runtime import Gateway
from tests.support.commands import subcommands

DOCS = Path(__file__).parents[2] / "docs"


def documents(gateway: Gateway, client: FlaskClient) -> dict[Path, str]:
    """Return the path and the text of each committed document."""
    names = {
        "error_codes": dict(sorted(error_codes(errors.GatewayError))),
        "metrics": dict(sorted(metrics(gateway))),
        "commands": command(cli),
    }
    return {
        DOCS / "openapi.json": written(client.get("/v1/openapi.json").get_json()),
        DOCS / "interface.json": written(names),
    }


def written(content: object) -> str:
    """Return indented JSON with sorted keys, so that diffs stay small."""
    return json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def error_codes(kind: type[errors.GatewayError]) -> Iterator[tuple[str, int]]:
    """Yield each code with its HTTP status."""
    yield kind.code, kind.status
    for each in kind.__subclasses__():
        yield from error_codes(each)


def metrics(gateway: Gateway) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each metric with its type, help and declared labels."""
    counters = [each for each in vars(counts).values() if isinstance(each, MetricWrapperBase)]
    described = [(family, each) for each in counters for family in each.describe()]
    for family, declared in [*described, *((gauge, gauge) for gauge in gauges(gateway))]:
        labels = sorted(getattr(declared, "_labelnames", ()))
        yield family.name, {"type": family.type, "help": family.documentation, "labels": labels}


def command(shown: click.Command) -> dict[str, Any]:
    """Return a command with its help, its parameters and its subcommands."""
    parameters = {
        each.opts[0]: {
            "all": [*each.opts, *each.secondary_opts],
            "kind": each.param_type_name,
            "type": each.type.name,
            "multiple": each.multiple,
            "required": each.required,
            "help": getattr(each, "help", None),
        }
        for each in shown.params
    }
    found: dict[str, Any] = {"help": shown.help, "parameters": parameters}
    if isinstance(shown, click.Group):
        found["commands"] = {name: command(each) for name, each in subcommands(shown)}
    return found
