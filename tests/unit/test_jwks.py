"""Tokens of an identity provider, checked against the keys that it really publishes over HTTP."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.auth import TokenVerifier, issue_development_token
from gateway.errors import IdentityUnavailable
from tests.unit.support import DEVELOPMENT_SECRET, config
from tests.unit.tokens import CONFIG, HOUR, refused, token, who

SIGNER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """Serves a JWKS on a loopback socket, and counts how often it is asked."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/jwks.json"
        self.keys: list[dict[str, Any]] = [self.jwk("one")]
        self.asked = 0
        self.answer: bytes | None = None

    @staticmethod
    def jwk(kid: str) -> dict[str, Any]:
        public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(SIGNER.public_key(), as_dict=True)
        return public | {"kid": kid, "use": "sig", "alg": "RS256"}

    def verifier(self) -> TokenVerifier:
        return TokenVerifier(config(jwks_url=self.url, jwt_development_secret=None))


@contextmanager
def serving() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.asked += 1
            body = provider.answer or json.dumps({"keys": provider.keys}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = Provider(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(name="provider")
def _provider() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


def test_a_token_of_the_identity_provider_is_good_and_its_keys_are_kept(provider: Provider) -> None:
    verifier = provider.verifier()
    for _ in range(3):
        found = who(token(SIGNER, "RS256", kid="one"), verifier)
        assert found.require("billing:write") == "org_1"
    assert provider.asked == 1


def test_unknown_key_ids_do_not_make_us_flood_the_identity_provider(provider: Provider) -> None:
    verifier = provider.verifier()
    who(token(SIGNER, "RS256", kid="one"), verifier)
    for number in range(10):
        refused(token(STRANGER, "RS256", kid=f"unknown_{number}"), verifier)
    assert provider.asked <= 2


def test_an_unknown_key_is_refused(provider: Provider) -> None:
    refused(token(SIGNER, "RS256", kid="unknown"), provider.verifier())
    refused(token(SIGNER, "RS256"), provider.verifier())


def test_a_strangers_signature_under_a_known_key_id_is_refused(provider: Provider) -> None:
    refused(token(STRANGER, "RS256", kid="one"), provider.verifier())


@pytest.mark.parametrize("form", ["pem", "der", "n"])
def test_the_public_key_does_not_do_as_a_shared_secret(provider: Provider, form: str) -> None:
    public = SIGNER.public_key()
    secrets = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "n": provider.keys[0]["n"].encode(),
    }
    # PyJWT will not sign with a public key, an attacker's tool will.
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"one"}').rstrip(b"=")
    body = token().split(".")[1].encode()
    signature = base64.urlsafe_b64encode(hmac.digest(secrets[form], head + b"." + body, "sha256"))
    refused(b".".join([head, body, signature.rstrip(b"=")]).decode(), provider.verifier())


def test_a_shared_secret_among_the_published_keys_signs_nothing(provider: Provider) -> None:
    published = base64.urlsafe_b64encode(DEVELOPMENT_SECRET.encode()).decode().rstrip("=")
    provider.keys.append({"kty": "oct", "alg": "HS256", "use": "sig", "kid": "shared", "k": published})
    refused(token(kid="shared"), provider.verifier())


def test_development_tokens_and_unsigned_ones_are_refused_in_production(provider: Provider) -> None:
    refused(issue_development_token(CONFIG, "org_1", datetime.now(UTC)), provider.verifier())
    refused(token(kid="one"), provider.verifier())
    refused(token("", "none", kid="one"), provider.verifier())


def test_the_claims_are_checked_here_as_well(provider: Provider) -> None:
    verifier = provider.verifier()
    assert "expired" in refused(token(SIGNER, "RS256", kid="one", exp=datetime.now(UTC) - HOUR), verifier)
    refused(token(SIGNER, "RS256", kid="one", aud="other"), verifier)
    refused(token(SIGNER, "RS256", kid="one", iss="other"), verifier)


def test_an_identity_provider_that_is_down_is_not_the_callers_fault() -> None:
    with serving() as provider:
        pass
    with pytest.raises(IdentityUnavailable):
        who(token(SIGNER, "RS256", kid="one"), provider.verifier())


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"\xff",
        b"[]",
        b"null",
        b"17",
        b'"keys"',
        b"{}",
        b"[" * 100_000,
        b'{"keys": []}',
        b'{"keys": null}',
        b'{"keys": 1}',
        b'{"keys": {"kty": "RSA"}}',
        b'{"keys": [null]}',
        b'{"keys": [1, []]}',
        b'{"keys": [{}]}',
        b'{"keys": [{"kty": "unknown", "kid": "one"}]}',
        b'{"keys": [{"kty": 1, "kid": "one"}]}',
        b'{"keys": [{"kty": "RSA", "kid": "one", "n": 1, "e": null}]}',
        b'{"keys": [{"kty": "EC", "kid": "one", "crv": []}]}',
    ],
)
def test_an_answer_that_holds_no_keys_is_not_the_callers_fault_either(provider: Provider, answer: bytes) -> None:
    provider.answer = answer
    with pytest.raises(IdentityUnavailable):
        who(token(SIGNER, "RS256", kid="one"), provider.verifier())


def test_keys_once_fetched_outlive_a_short_outage() -> None:
    with serving() as provider:
        verifier = provider.verifier()
        who(token(SIGNER, "RS256", kid="one"), verifier)
    assert who(token(SIGNER, "RS256", kid="one"), verifier).subject == "user_1"


def test_garbage_is_refused_without_asking_anyone(provider: Provider) -> None:
    verifier = provider.verifier()
    for garbage in ("x", "a.b.c", "..", "é.é.é"):
        refused(garbage, verifier)
    assert provider.asked == 0
