"""What gunicorn loads beside ``wsgi.py``: its hooks."""

import os
import shutil

from gateway import gc_tuning
from gateway.metrics import DIRECTORY


def on_exit(_server: object) -> None:
    """Remove the counts of this server's processes."""
    shutil.rmtree(os.environ[DIRECTORY], ignore_errors=True)


def post_worker_init(_worker: object) -> None:
    """Set the process up for a long life."""
    gc_tuning.reduce_gc()
