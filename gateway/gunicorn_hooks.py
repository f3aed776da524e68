"""What gunicorn loads beside ``wsgi.py``: its hooks."""

import gc
import os
import shutil

from gateway.metrics import DIRECTORY


def on_exit(_server: object) -> None:
    """Remove the counts of this server's processes."""
    shutil.rmtree(os.environ[DIRECTORY], ignore_errors=True)


def post_worker_init(_worker: object) -> None:
    """Spare what is loaded by now from being looked at each time that garbage is collected: it stays."""
    gc.freeze()
