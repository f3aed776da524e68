"""The connections to Stripe trust only known certificates, and their errors tell the SDK what to retry."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from urllib3 import Timeout

from gateway.stripe_api.transport import Response, Transport

REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def serving(answer: bytes | None, tls: ssl.SSLContext | None = None) -> Iterator[tuple[int, list[bytes]]]:
    """Run a server that gives each client one answer, or closes each connection. Yield its port and the requests."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    try:
                        connection = tls.wrap_socket(client, server_side=True) if tls is not None else client
                        with connection:
                            seen.append(connection.recv(65536))
                            connection.sendall(answer or b"")
                    except OSError:  # the client does not trust the certificate
                        continue

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], seen
        finally:  # a failing test must not leave a thread that waits for ever
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def send(address: str) -> Response:
    transport = Transport(None, lambda: Timeout(0.5))
    try:
        return transport.request("get", f"{address}/v1/customers/cus_1", headers={}, data=None)
    finally:
        transport.close()


def build_context(directory: Path) -> ssl.SSLContext:
    """Return the context of a server whose certificate no authority has signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(datetime.now(UTC)).not_valid_after(datetime.now(UTC) + timedelta(days=1))
    signed = built.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (directory / "server.pem").write_bytes(signed + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    return context


def test_unknown_certificate_is_refused(tmp_path: Path) -> None:
    with serving(b"", build_context(tmp_path)) as (port, seen):
        with pytest.raises(requests.exceptions.SSLError):
            send(f"https://127.0.0.1:{port}")
        assert seen == []


def test_redirect_is_not_followed() -> None:
    with serving(REDIRECT) as (port, seen):
        assert send(f"http://127.0.0.1:{port}").status_code == 302
        assert len(seen) == 1


def test_lost_connection_and_silence_are_two_errors() -> None:
    with serving(None) as (port, seen):
        with pytest.raises(requests.ConnectionError):
            send(f"http://127.0.0.1:{port}")
        assert len(seen) == 1, "only the SDK may repeat a request"
    with pytest.raises(requests.ConnectionError):
        send("http://127.0.0.1:1")
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(requests.Timeout):
        send(f"http://127.0.0.1:{silent.getsockname()[1]}")
