"""``gateway serve`` becomes gunicorn, which loads ``wsgi.py``."""

import os
import sys
import tempfile

import click
from gunicorn.app import wsgiapp

from gateway.config import COUNTS_DIRECTORY, Config
from gateway.web_server.metrics_listener import LISTENER, listen

# Half of the threads may wait for Stripe at a time. The other half must suffice for webhooks and reads.
WORKERS, THREADS = 2, Config.web_threads
OPTIONS = ("--no-control-socket", "--access-logfile=-", "--config=python:gateway.web_server.gunicorn_hooks")
# glibc would wait for a dead name server for most of a minute, and no timeout of ours ends that wait.
RESOLVER = "timeout:1 attempts:1 ndots:1"
HIGHEST_PORT = 65535
METRICS_ABOVE = 1464  # the metrics' port above the public one, so 9464 for 8000


def check_port(_context: click.Context, _parameter: click.Parameter, address: str | None) -> str | None:
    """Return the address. Raise BadParameter if its port cannot exist."""
    port = (address or "").rpartition(":")[2]
    if port.isdecimal() and int(port) > HIGHEST_PORT:
        raise click.BadParameter(f"The port must be at most {HIGHEST_PORT}.")
    return address


@click.command()
@click.option("--bind", default="127.0.0.1:8000", show_default=True, callback=check_port, help="Address and port.")
@click.option(
    "--metrics-bind",
    callback=check_port,
    show_default=f"127.0.0.1, {METRICS_ABOVE} above the port of --bind, or below a port from 32768 on",
    help="Address and port of /metrics. Keep it inside your network.",
)
@click.option("--workers", type=click.IntRange(min=1), default=WORKERS, show_default=True, help="Number of processes.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=THREADS,
    show_default=True,
    envvar="GATEWAY_WEB_THREADS",
    help="Threads per process. Half of them may be busy with Stripe.",
)
def serve(bind: str, metrics_bind: str | None, workers: int, threads: int) -> None:
    """Serve the web interface with gunicorn."""
    Config.from_environment()  # report a wrong setting here, before a gunicorn worker fails to boot
    os.environ[LISTENER] = str(listen_for_metrics(metrics_bind or choose_metrics_address(bind)))
    os.environ.setdefault("RES_OPTIONS", RESOLVER)
    os.environ["GATEWAY_WEB_THREADS"] = str(threads)  # each web process sizes its calls to Stripe by it
    # The directory is new, so the counts start at zero. No module that counts may be imported before, because
    # prometheus_client looks for the directory when it is imported.
    os.environ[COUNTS_DIRECTORY] = tempfile.mkdtemp(prefix="gateway-metrics-")
    size = [f"--workers={workers}", f"--threads={threads}"]
    sys.argv = ["gunicorn", *size, f"--bind={bind}", *OPTIONS, "wsgi:app"]
    wsgiapp.run()


def choose_metrics_address(bind: str) -> str:
    """Return an address for the metrics that follows from ``bind``, so that two gateways share one machine."""
    _, _, port = bind.rpartition(":")
    if not port.isdecimal():  # a Unix socket
        return "127.0.0.1:9464"
    return f"127.0.0.1:{int(port) + METRICS_ABOVE if int(port) < 1 << 15 else int(port) - METRICS_ABOVE}"


def listen_for_metrics(address: str) -> int:
    """Return the file number of a socket that listens on ``address``, for gunicorn to inherit."""
    try:
        return listen(address).detach()
    except ValueError as error:
        raise click.UsageError(f"--metrics-bind must look like 127.0.0.1:9464, not {address!r}.") from error
    except OSError as error:
        raise OSError(
            f"cannot listen for metrics on {address}: {error.strerror}. Choose another address with --metrics-bind."
        ) from error
