"""gunicorn's hooks, which it loads beside ``wsgi.py``."""

import os
import shutil

from gateway import gc_tuning
from gateway.metrics import DIRECTORY


def on_exit(_server: object) -> None:
    """Remove the files with the counts of this server's processes."""
    shutil.rmtree(os.environ[DIRECTORY], ignore_errors=True)


def post_worker_init(_worker: object) -> None:
    """Tune the garbage collector of a worker that has just started."""
    gc_tuning.reduce_gc()
