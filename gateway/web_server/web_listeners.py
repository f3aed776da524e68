"""The listening sockets of ``gateway serve``, which outlive gunicorn's workers.

When a listening socket is closed, the kernel resets the connections that wait in it. gunicorn's ``--reuse-port`` gives
each worker a socket of its own, and closes it with the worker. So gunicorn's first process opens the sockets here, and
keeps them. What waits in the socket of a worker that ends, its successor accepts.

The workers do not share one socket, because kept-alive connections may then all land on one worker. systemd hands over
one socket for all, which even outlives gunicorn.
https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html
"""

import socket
import sys
from typing import Any

from gunicorn import systemd
from gunicorn.sock import create_sockets


def open_listeners(server: Any) -> None:
    """Open one socket per worker for each address, unless systemd has opened it or it is a Unix socket."""
    addresses = server.cfg.address
    if systemd.listen_fds(unset_environment=False) or not all(isinstance(each, tuple) for each in addresses):
        return  # gunicorn opens a Unix socket itself, and its workers share it
    files = [open_listener(server, *each) for each in addresses for _ in range(server.num_workers)]
    server.LISTENERS = create_sockets(server.cfg, server.log, files)


def open_listener(server: Any, host: str, port: int) -> int:
    """Return the file number of a new socket that listens on an address. End the process if that is impossible."""
    is_ipv6 = ":" in host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    try:
        return socket.create_server(
            (host, port), family=family, backlog=server.cfg.backlog, reuse_port=True, dualstack_ipv6=is_ipv6
        ).detach()
    except OSError as error:
        sys.exit(f"gateway: cannot listen on {host}:{port}: {error.strerror}. Choose another address with --bind.")


def choose_listeners(server: Any, worker: Any) -> None:
    """Give a new worker a socket for each address: the one whose latest worker is the oldest, or has ended.

    The newest workers, as many as there are sockets, then always have one each.
    """

    def latest_age(listener: Any) -> int:
        return max((each.age for each in server.WORKERS.values() if listener in each.sockets), default=0)

    by_address: dict[Any, list[Any]] = {}
    for each in server.LISTENERS:
        by_address.setdefault(each.getsockname(), []).append(each)
    worker.sockets = [min(listeners, key=latest_age) for listeners in by_address.values()]


def close_other_listeners(server: Any, worker: Any) -> None:
    """Close the sockets of the other workers in a process that has just been forked."""
    for each in server.LISTENERS:
        if each not in worker.sockets:
            each.close()
