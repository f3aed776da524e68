"""What gunicorn loads beside ``wsgi.py``: its hooks."""

import os
import shutil

from gateway.metrics import DIRECTORY


def on_exit(_server: object) -> None:
    """Remove the counts of this server's processes."""
    shutil.rmtree(os.environ[DIRECTORY], ignore_errors=True)
