"""HTTP connections to Stripe whose responses must arrive in full within the read timeout.

The timeout of a socket begins again with each byte. A response that arrives byte by byte would hold its thread forever.
"""

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection


class PromptReader(io.RawIOBase):
    """Reads a socket until a deadline, in seconds of ``time.monotonic``."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._raw = raw
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        """Return True, which a buffer over this reader requires."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what has arrived, or wait for it. Raise TimeoutError at the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The response came too slowly.")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Release the socket, which stays open for the next response."""
        self._raw.close()
        super().close()


class PromptResponse(HTTPResponse):
    """A response whose status, headers and body must all arrive within one timeout of the socket."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        seconds = sock.gettimeout()
        if seconds is not None:
            self.fp = io.BufferedReader(PromptReader(self.fp.detach(), sock, time.monotonic() + seconds))


class PromptHTTPConnection(HTTPConnection):
    """A plain connection, as to the sandbox."""

    response_class = PromptResponse


class PromptHTTPSConnection(HTTPSConnection):
    """An encrypted connection, as to Stripe."""

    response_class = PromptResponse


class PromptHTTPPool(HTTPConnectionPool):
    """A pool of plain connections."""

    ConnectionCls = PromptHTTPConnection


class PromptHTTPSPool(HTTPSConnectionPool):
    """A pool of encrypted connections."""

    ConnectionCls = PromptHTTPSConnection


POOLS = {"http": PromptHTTPPool, "https": PromptHTTPSPool}
"""The classes of the pools by scheme, for a ``PoolManager``."""
