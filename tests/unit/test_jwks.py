"""Tokens of an identity provider, verified with the keys that it publishes over HTTP."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway import auth
from gateway.auth import TokenVerifier, issue_development_token
from gateway.errors import IdentityUnavailable
from tests.support.config import DEVELOPMENT_SECRET, config
from tests.support.wait import eventually
from tests.unit.tokens import CONFIG, HOUR, principal_of, refused, token

SIGNER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Provider:
    """An identity provider on a loopback socket. It serves a JWKS and counts the requests."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/jwks.json"
        self.keys: list[dict[str, Any]] = [self.jwk("one")]
        self.requests = 0
        self.answer: bytes | None = None
        self.answers = threading.Event()
        self.answers.set()

    @staticmethod
    def jwk(kid: str) -> dict[str, Any]:
        public: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(SIGNER.public_key(), as_dict=True)
        return public | {"kid": kid, "use": "sig", "alg": "RS256"}

    def verifier(self) -> TokenVerifier:
        return TokenVerifier(config(jwks_url=self.url, jwt_development_secret=None))


@contextmanager
def serving() -> Iterator[Provider]:
    class KeysHandler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.requests += 1
            provider.answers.wait()
            body = provider.answer or json.dumps({"keys": provider.keys}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Suppress the log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), KeysHandler) as server:
        provider = Provider(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield provider
        finally:
            provider.answers.set()
            server.shutdown()
            thread.join()


@pytest.fixture(name="provider")
def _provider() -> Iterator[Provider]:
    with serving() as provider:
        yield provider


def test_a_providers_token_is_valid_and_its_keys_are_cached(provider: Provider) -> None:
    verifier = provider.verifier()
    for _ in range(3):
        found = principal_of(token(SIGNER, "RS256", kid="one"), verifier)
        assert found.require("billing:write") == "org_1"
    assert provider.requests == 1


def test_unknown_key_ids_do_not_flood_the_provider(provider: Provider) -> None:
    verifier = provider.verifier()
    principal_of(token(SIGNER, "RS256", kid="one"), verifier)
    for number in range(10):
        refused(token(STRANGER, "RS256", kid=f"unknown_{number}"), verifier)
    assert provider.requests <= 2


def test_an_unknown_key_is_refused(provider: Provider) -> None:
    refused(token(SIGNER, "RS256", kid="unknown"), provider.verifier())
    refused(token(SIGNER, "RS256"), provider.verifier())


def test_a_foreign_signature_under_a_known_key_id_is_refused(provider: Provider) -> None:
    refused(token(STRANGER, "RS256", kid="one"), provider.verifier())


@pytest.mark.parametrize("form", ["pem", "der", "n"])
def test_the_public_key_is_refused_as_a_shared_secret(provider: Provider, form: str) -> None:
    public = SIGNER.public_key()
    secrets = {
        "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "n": provider.keys[0]["n"].encode(),
    }
    # PyJWT refuses to sign with a public key, but an attacker's tool does not.
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT","kid":"one"}').rstrip(b"=")
    body = token().split(".")[1].encode()
    signature = base64.urlsafe_b64encode(hmac.digest(secrets[form], head + b"." + body, "sha256"))
    refused(b".".join([head, body, signature.rstrip(b"=")]).decode(), provider.verifier())


def test_a_shared_secret_among_the_published_keys_is_refused(provider: Provider) -> None:
    published = base64.urlsafe_b64encode(DEVELOPMENT_SECRET.encode()).decode().rstrip("=")
    provider.keys.append({"kty": "oct", "alg": "HS256", "use": "sig", "kid": "shared", "k": published})
    refused(token(kid="shared"), provider.verifier())


def test_production_refuses_development_and_unsigned_tokens(provider: Provider) -> None:
    refused(issue_development_token(CONFIG, "org_1", datetime.now(UTC)), provider.verifier())
    refused(token(kid="one"), provider.verifier())
    refused(token("", "none", kid="one"), provider.verifier())


def test_a_providers_token_with_wrong_claims_is_refused(provider: Provider) -> None:
    verifier = provider.verifier()
    assert "expired" in refused(token(SIGNER, "RS256", kid="one", exp=datetime.now(UTC) - HOUR), verifier)
    refused(token(SIGNER, "RS256", kid="one", aud="other"), verifier)
    refused(token(SIGNER, "RS256", kid="one", iss="other"), verifier)


def test_a_provider_that_is_down_is_unavailable() -> None:
    with serving() as provider:
        pass
    with pytest.raises(IdentityUnavailable):
        principal_of(token(SIGNER, "RS256", kid="one"), provider.verifier())


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
        b'{"keys": [{"kty": "oct", "kid": ["one"], "k": "c2VjcmV0"}]}',
    ],
)
def test_a_provider_that_returns_no_keys_is_unavailable(provider: Provider, answer: bytes) -> None:
    provider.answer = answer
    with pytest.raises(IdentityUnavailable):
        principal_of(token(SIGNER, "RS256", kid="one"), provider.verifier())


def test_cached_keys_outlive_a_short_outage() -> None:
    with serving() as provider:
        verifier = provider.verifier()
        principal_of(token(SIGNER, "RS256", kid="one"), verifier)
    assert principal_of(token(SIGNER, "RS256", kid="one"), verifier).subject == "user_1"


def test_old_keys_count_for_an_hour_while_no_new_ones_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KEYS_PAUSE", 0)
    monkeypatch.setattr(auth, "KEYS_FRESH_FOR", -1)
    with serving() as provider:
        verifier = provider.verifier()
        for number in range(3):
            principal_of(token(SIGNER, "RS256", kid="one", jti=str(number)), verifier)
        assert provider.requests == 3
    assert principal_of(token(SIGNER, "RS256", kid="one"), verifier).subject == "user_1"
    monkeypatch.setattr(auth, "KEYS_KEPT_FOR", -1)
    with pytest.raises(IdentityUnavailable):
        principal_of(token(SIGNER, "RS256", kid="one", jti="last"), verifier)


def test_new_key_is_fetched_and_used(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KEYS_PAUSE", 0)
    verifier = provider.verifier()
    principal_of(token(SIGNER, "RS256", kid="one"), verifier)
    provider.keys = [provider.jwk("two")]
    principal_of(token(SIGNER, "RS256", kid="two"), verifier)
    refused(token(SIGNER, "RS256", kid="one", jti="withdrawn"), verifier)


def unavailable(found: str, verifier: TokenVerifier) -> None:
    with pytest.raises(IdentityUnavailable):
        principal_of(found, verifier)


def test_only_one_thread_waits_while_the_provider_hangs(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KEYS_PAUSE", 0)
    monkeypatch.setattr(auth, "KEYS_TIMEOUT", 60)
    verifier = provider.verifier()
    principal_of(token(SIGNER, "RS256", kid="one"), verifier)
    provider.answers.clear()
    provider.keys.append(provider.jwk("two"))
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(principal_of, token(SIGNER, "RS256", kid="two"), verifier)
        eventually(lambda: provider.requests == 2)
        for number in range(20):  # each would wait for a minute otherwise
            unavailable(token(STRANGER, "RS256", kid=f"unknown_{number}"), verifier)
            unavailable(token(SIGNER, "RS256", kid="two", jti=str(number)), verifier)  # it may be a new key
            principal_of(token(SIGNER, "RS256", kid="one", jti=str(number)), verifier)
        assert not waiting.done()
        provider.answers.set()
        assert waiting.result().subject == "user_1"
    assert provider.requests == 2
    principal_of(token(SIGNER, "RS256", kid="two", jti="later"), verifier)


def test_unknown_key_is_no_fault_of_the_token_while_the_provider_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KEYS_PAUSE", 0)
    with serving() as provider:
        verifier = provider.verifier()
        principal_of(token(SIGNER, "RS256", kid="one"), verifier)
        refused(token(SIGNER, "RS256", kid="two"), verifier)
    unavailable(token(SIGNER, "RS256", kid="two"), verifier)


def test_without_keys_one_try_is_made_for_all_that_wait(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "KEYS_TIMEOUT", 0.2)
    provider.answers.clear()
    verifier = provider.verifier()

    tokens = [token(SIGNER, "RS256", kid="one", jti=str(number)) for number in range(30)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(partial(unavailable, verifier=verifier), tokens))
    assert provider.requests == 1


def test_garbage_is_refused_without_a_call_to_the_provider(provider: Provider) -> None:
    verifier = provider.verifier()
    for garbage in ("x", "a.b.c", "..", "é.é.é"):
        refused(garbage, verifier)
    assert provider.requests == 0
