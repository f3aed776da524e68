"""Runs stripe/sync-engine as a yardstick, with the script beside this module."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from gateway.commands.serve import WORKERS
from tests.benchmarks.rig import Rig
from tests.support.bulk_events import SECRET
from tests.support.processes import await_port, free_port

PACKAGES = ("@supabase/stripe-sync-engine@0.48.5", "stripe@23.1.0")
SCRIPT = Path(__file__).with_suffix(".cjs")


@contextmanager
def sync_engine(parts: Rig) -> Iterator[tuple[int, psutil.Process] | None]:
    """Install and run it. Yield its port and first process, or None if npm is missing or cannot install it."""
    folder = parts.logs / "sync_engine"
    folder.mkdir()
    npm, node = shutil.which("npm"), shutil.which("node")
    install = [str(npm), "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *PACKAGES]
    if npm is None or node is None or subprocess.run(install, check=False, capture_output=True).returncode:
        yield None
        return
    shutil.copy(SCRIPT, folder)
    port = free_port()
    own = {"DATABASE_URL": parts.url, "PORT": str(port), "PROCESSES": str(WORKERS), "SECRET": SECRET}
    with (folder / "log").open("ab") as log:
        engine = subprocess.Popen([node, SCRIPT.name], cwd=folder, env=os.environ | own, stdout=log, stderr=log)
    try:
        await_port(port)
        yield port, psutil.Process(engine.pid)
    finally:
        engine.terminate()
        engine.wait()
