"""A name server that does not answer holds a request for seconds, not for a minute."""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.commands.serve import RESOLVER
from tests.support.processes import settings

LOOK_UP = "import socket; socket.getaddrinfo('api.stripe.com', 443)"
NAMESPACE = ("unshare", "--mount")


def may_mount() -> bool:
    """Return whether this test may bind port 53 and mount a file of its own."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], check=False, timeout=10).returncode == 0


@pytest.mark.skipif(not may_mount(), reason="needs root and a mount namespace of its own")
def test_lookup_ends_in_the_time_of_a_request(tmp_path: Path) -> None:
    names = tmp_path / "resolv.conf"
    names.write_text("nameserver 127.0.0.1\nnameserver 127.0.0.2\nsearch one.test two.test\noptions ndots:5\n")
    command = f"mount --bind '{names}' /etc/resolv.conf && exec '{sys.executable}' -c \"{LOOK_UP}\""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second,
    ):
        first.bind(("127.0.0.1", 53))
        second.bind(("127.0.0.2", 53))
        began = time.monotonic()
        ended = subprocess.run(
            [*NAMESPACE, "sh", "-c", command], env=settings({"RES_OPTIONS": RESOLVER}), check=False, timeout=60
        )
        assert ended.returncode == 1
        assert 1 < time.monotonic() - began < 10
