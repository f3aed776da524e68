"""Send requests byte by byte, as no HTTP library would."""

import json
import socket
from http.client import HTTPResponse
from typing import NamedTuple

from gateway.auth import issue_development_token
from tests.support.deployment import Deployment

TIMEOUT = 30  # seconds


class Answer(NamedTuple):
    """An answer, with the names of its headers in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """Return the code of a problem. Fail if the answer is not a problem."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = json.loads(self.body)
        assert problem["status"] == self.status
        assert problem["request_id"] == self.headers["x-request-id"]
        assert b"Traceback" not in self.body
        return str(problem["code"])


def exchange(port: int, *pieces: bytes) -> Answer:
    """Send ``pieces`` and return the only answer. Fail if more than one answer comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = HTTPResponse(connection)
        answer.begin()
        found = Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(4096) == b"", "a second answer came"
    return found


def head(line: str, *headers: str) -> bytes:
    """Return a request line and headers."""
    return "\r\n".join([f"{line} HTTP/1.1", "Host: gateway.example", *headers, "", ""]).encode("latin-1")


def bearer(stage: Deployment, organization_id: str) -> str:
    """Return an Authorization header."""
    token = issue_development_token(stage.gateway.config, organization_id, stage.gateway.clock())
    return f"Authorization: Bearer {token}"


def chunks(body: bytes, size: int = 8192) -> bytes:
    """Return a chunked body."""
    pieces = (body[start : start + size] for start in range(0, len(body), size))
    return b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
