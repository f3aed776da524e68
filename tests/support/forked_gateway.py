"""The main function of a forked ``gateway`` process. Importing this module imports what the process needs."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import values

from gateway import cli
from gateway.commands import serve, worker
from gateway.web_server import gunicorn_hooks

preloaded = (serve, gunicorn_hooks, worker)


def run(arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
    """Run ``gateway ARGUMENTS`` in a session of its own, with this environment and this log."""
    os.setsid()
    with log.open("ab") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(environment)
    if arguments[0] == "serve":  # prometheus_client was imported before `serve` could name a directory for the counts
        values.ValueClass = values.MultiProcessValue()  # type: ignore[no-untyped-call]  # without annotations
    sys.argv = ["gateway", *arguments]
    cli.main()
