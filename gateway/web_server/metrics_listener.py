"""The socket for ``GET /metrics``, which ``gateway serve`` opens and gunicorn's processes inherit."""

import socket

LISTENER = "GATEWAY_METRICS_LISTENER"
"""The variable in which ``gateway serve`` hands on the number of the socket's file."""


def listen(address: str) -> socket.socket:
    """Listen on ``address``, such as ``127.0.0.1:9464`` or ``[::1]:9464``. Raise ValueError or OSError."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    listener = socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.set_inheritable(True)
    return listener
