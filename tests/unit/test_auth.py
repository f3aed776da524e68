"""Who may call: development tokens, and those of an identity provider behind a real JWKS."""

import base64
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import Principal, TokenVerifier, issue_development_token
from gateway.errors import Forbidden, IdentityUnavailable, Unauthorized
from tests.unit.support import DEVELOPMENT_SECRET, config

CONFIG = config()
VERIFIER = TokenVerifier(CONFIG)
HOUR = timedelta(hours=1)


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims with differences; None takes one away."""
    now = datetime.now(UTC)
    found = {
        "iss": "konnect",
        "aud": "konnect-billing",
        "sub": "user_1",
        "iat": now,
        "exp": now + HOUR,
        "organization_id": "org_1",
        "organization_name": "Acme",
        "email": "owner@acme.example",
        "scope": "billing:read billing:write",
    } | changes
    return {name: value for name, value in found.items() if value is not None}


def token(key: Any = DEVELOPMENT_SECRET, algorithm: str = "HS256", *, kid: str | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm, headers={"kid": kid} if kid else None)


def who(found: str, verifier: TokenVerifier = VERIFIER) -> Principal:
    return verifier.verify(f"Bearer {found}")


def refused(found: str, verifier: TokenVerifier = VERIFIER) -> str:
    with pytest.raises(Unauthorized) as caught:
        who(found, verifier)
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}
    return caught.value.detail


def test_a_good_token_says_who_calls() -> None:
    assert who(token()) == Principal(
        subject="user_1",
        organization_id="org_1",
        scopes=frozenset({"billing:read", "billing:write"}),
        name="Acme",
        email="owner@acme.example",
    )


def test_the_development_issuers_own_token_is_good_for_a_day() -> None:
    now = datetime.now(UTC)
    found = who(issue_development_token(CONFIG, "org_1", now, scopes=("billing:read",), name="Acme"))
    assert found == Principal(
        subject="development", organization_id="org_1", scopes=frozenset({"billing:read"}), name="Acme", email=None
    )
    who(issue_development_token(CONFIG, "org_1", now - timedelta(hours=23)))
    assert "expired" in refused(issue_development_token(CONFIG, "org_1", now - timedelta(hours=25)))


def test_the_development_issuer_can_be_off() -> None:
    off = config(jwks_url="https://id.example/jwks.json", jwt_development_secret=None)
    with pytest.raises(ValueError, match="GATEWAY_JWT_DEVELOPMENT_SECRET"):
        issue_development_token(off, "org_1", datetime.now(UTC))


def test_an_expired_token_is_told_from_a_wrong_one() -> None:
    assert "expired" in refused(token(exp=datetime.now(UTC) - timedelta(seconds=1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": None},
        {"aud": "quote"},
        {"exp": None},
        {"exp": "soon"},
        {"sub": None},
        {"sub": 5},
        {"nbf": datetime(2100, 1, 1, tzinfo=UTC)},
        {"iat": datetime(2100, 1, 1, tzinfo=UTC)},
    ],
)
def test_a_token_with_wrong_claims_is_refused(wrong: dict[str, Any]) -> None:
    assert refused(token(**wrong)) == "The token is not valid."


def test_a_token_for_several_audiences_is_ours_too() -> None:
    assert who(token(aud=["other", "konnect-billing"])).subject == "user_1"


def test_a_token_signed_with_something_else_is_refused() -> None:
    refused(token("another secret, also of 32 bytes and more"))


def test_a_token_that_is_not_signed_is_refused() -> None:
    refused(token("", "none"))
    refused(token().rsplit(".", 1)[0] + ".")


def test_a_token_of_another_algorithm_is_refused() -> None:
    refused(token(DEVELOPMENT_SECRET * 2, "HS512"))
    refused(jwt.encode(claims(), DEVELOPMENT_SECRET * 2, "HS384"))


def test_a_token_altered_after_signing_is_refused() -> None:
    head, _, signature = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps({"organization_id": "org_2"}).encode()).rstrip(b"=").decode()
    refused(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer\tabc", "abc", "Token abc"])
def test_without_a_bearer_token_nobody_is_known(header: str | None) -> None:
    with pytest.raises(Unauthorized) as caught:
        VERIFIER.verify(header)
    assert caught.value.headers == {"WWW-Authenticate": "Bearer"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert VERIFIER.verify(f"{scheme} {token()}").subject == "user_1"


def test_a_token_that_is_no_text_at_all_is_refused() -> None:
    refused("\ud800")


def test_a_header_that_holds_more_than_a_token_is_refused() -> None:
    refused(f"{token()} {token()}")


@given(st.text(max_size=60) | st.lists(st.sampled_from([".", "e30", "eyJhbGciOiJIUzI1NiJ9", "é", "\0"])).map("".join))
def test_whatever_comes_it_is_refused_and_never_crashes(header: str) -> None:
    for each in (header, f"Bearer {header}"):
        with pytest.raises(Unauthorized):
            VERIFIER.verify(each)


def test_the_organization_is_told_to_whom_the_scope_allows_it() -> None:
    found = who(token(scope="billing:read"))
    assert found.require("billing:read") == "org_1"
    with pytest.raises(Forbidden, match="billing:write"):
        found.require("billing:write")


@pytest.mark.parametrize("scope", [None, "", "billing", "billing:reader", "BILLING:READ", ["billing:read"], 5, {}])
def test_a_scope_that_is_not_there_allows_nothing(scope: Any) -> None:
    with pytest.raises(Forbidden):
        who(token(scope=scope)).require("billing:read")


@pytest.mark.parametrize(
    "organization",
    [None, "", "org 1", "org/1", "../org_1", "org_1\n", "örg", "o" * 129, 5, True, ["org_1"], {"id": "org_1"}],
)
def test_an_organization_that_is_missing_or_malformed_is_none(organization: Any) -> None:
    with pytest.raises(Forbidden, match="names no organization"):
        who(token(organization_id=organization)).require("billing:read")


@pytest.mark.parametrize("organization", ["o", "org_1", "a.b:c-D_9", "o" * 128])
def test_a_well_formed_organization_is_taken(organization: str) -> None:
    assert who(token(organization_id=organization)).require("billing:read") == organization


def test_names_that_are_no_text_are_left_out_and_a_nul_goes_no_further() -> None:
    found = who(token(organization_name=5, email="a\0@acme.example"))
    assert (found.name, found.email) == (None, "a@acme.example")


# The identity provider.

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


@pytest.mark.parametrize("answer", [b"<html>", b"\xff", b'{"keys": []}'])
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
