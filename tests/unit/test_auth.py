"""Who may call: tokens and scopes."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import Principal, issue_development_token
from gateway.errors import Forbidden, Unauthorized
from tests.support.config import DEVELOPMENT_SECRET, config
from tests.unit.tokens import CONFIG, VERIFIER, claims, refused, token, who


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


@pytest.mark.parametrize(
    "email",
    ["nobody", "", " ", "a@", "Ada <ada@acme.example>", "a@acme.example, b@acme.example", f"{'a' * 510}@b.example"],
)
def test_an_address_that_billing_details_would_not_take_is_left_out(email: str) -> None:
    assert who(token(email=email)).email is None


# The identity provider.
