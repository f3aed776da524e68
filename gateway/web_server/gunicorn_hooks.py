"""gunicorn's settings and hooks, which it loads beside ``wsgi.py``."""

import gc
import os
import shutil
import signal
import sys
import threading
from typing import Any

from gateway import app, gc_tuning
from gateway.config import COUNTS_DIRECTORY, Config, ConfigError
from gateway.db.pooler import refuse_pooler
from gateway.db.session import Database
from gateway.endpoints.request_context import EXTENSION
from gateway.web_server import metrics_server
from gateway.web_server.web_listeners import choose_listeners, close_other_listeners, open_listeners

preloaded = (
    app  # gunicorn's first process imports the modules, so that its workers need neither time nor memory for them
)
worker_class = "gateway.web_server.gunicorn_worker.GatewayWorker"
logger_class = "gateway.web_server.access_log.AccessLogger"
worker_connections = 400  # per process, so that the usual limit of 1024 open files suffices
limit_request_line = 4094  # bytes
limit_request_fields = 64
limit_request_field_size = 8190  # bytes, enough for a token with many claims
# Every client counts as a trusted proxy, which saves gunicorn a look at each address. So both settings below must stay
# empty. With a secure_scheme_header, any client could choose the scheme. With a forwarder_header, it could choose
# SCRIPT_NAME, and so move every path.
forwarded_allow_ips = "*"
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
pre_fork, post_fork = choose_listeners, close_other_listeners
# TTIN and TTOU change the number of workers, which must stay that of the listening sockets. USR2 starts a second
# server, which would share its files of counts with this one.
IGNORED_SIGNALS = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2)


def on_starting(server: Any) -> None:
    """Open the sockets that the workers listen on. End the process if a connection pooler would break its work."""
    try:
        refuse_pooler(Database(Config.from_environment().database_url))
    except ConfigError as error:
        sys.exit(f"gateway: {error}")
    open_listeners(server)
    gc.freeze()  # collecting would write to the pages that the workers share with this process


def when_ready(_server: object) -> None:
    """Ignore the signals that gunicorn would handle wrongly here."""
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def on_exit(_server: object) -> None:
    """Remove the files with the counts of this server's processes."""
    shutil.rmtree(os.environ[COUNTS_DIRECTORY], ignore_errors=True)


def post_worker_init(worker: Any) -> None:
    """Let a worker that has just started serve the metrics and watch its database, and tune its garbage collector."""
    metrics_server.start(worker.wsgi)
    if (web := worker.wsgi.extensions.get(EXTENSION)) is not None:  # the benchmarks also run applications without one
        threading.Thread(target=web.gateway.database.answers.watch, name="answers", daemon=True).start()
    gc_tuning.reduce_gc()
