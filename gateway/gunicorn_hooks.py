"""gunicorn's settings and hooks, which it loads beside ``wsgi.py``."""

import os
import shutil
from typing import Any

from gateway import app, gc_tuning, metrics_server
from gateway.metrics import DIRECTORY

preloaded = (
    app  # gunicorn's first process imports the modules, so that its workers need neither time nor memory for them
)
worker_class = "gateway.gunicorn_worker.GatewayWorker"
logger_class = "gateway.access_log.AccessLogger"
worker_connections = 400  # per process, so that the usual limit of 1024 open files suffices
limit_request_line = 4094  # bytes
limit_request_fields = 64
limit_request_field_size = 8190  # bytes, enough for a token with many claims
forwarder_headers = ""  # gunicorn would let a proxy's client choose SCRIPT_NAME, and so move every path


def on_exit(_server: object) -> None:
    """Remove the files with the counts of this server's processes."""
    shutil.rmtree(os.environ[DIRECTORY], ignore_errors=True)


def post_worker_init(worker: Any) -> None:
    """Let a worker that has just started serve the metrics too, and tune its garbage collector."""
    metrics_server.start(worker.wsgi)
    gc_tuning.reduce_gc()
