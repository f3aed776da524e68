"""``GET /billing`` and its files, without a browser."""

import re
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from gateway.pages.billing import build_blueprint, build_policy, choose_return
from tests.support.config import config

UI = "https://konnect.example"
SANDBOX = "http://127.0.0.1:12111"
FIRST_LOAD = 100_000  # bytes, not compressed


def client(**settings: object) -> FlaskClient:
    app = Flask("gateway", static_folder=None)
    app.register_blueprint(build_blueprint(config(**settings)))
    return app.test_client()


def linked_files(page: str) -> list[str]:
    return re.findall(r"(?:href|src)=\"(/billing/[^\"]+)\"", page)


def test_page_has_no_script_or_style_of_its_own() -> None:
    page = client().get("/billing").text
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)", page) == []


@pytest.mark.parametrize("language", ["en", "de"])
def test_files_of_the_first_load_exist_and_are_small(language: str) -> None:
    browser = client()
    page = browser.get("/billing")
    answers = [browser.get(each) for each in [*linked_files(page.text), f"/billing/static/texts/{language}.json"]]
    assert {answer.status_code for answer in answers} == {200}
    assert sum(len(answer.data) for answer in [page, *answers]) < FIRST_LOAD


def test_file_is_compressed_and_revalidated() -> None:
    browser = client()
    answer = browser.get("/billing/static/main.js", headers={"Accept-Encoding": "gzip"})
    assert (answer.content_encoding, answer.cache_control.no_cache) == ("gzip", True)
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert browser.get("/billing/static/main.js", headers=tag).status_code == 304


@pytest.mark.parametrize("name", ["../billing.py", "..%2fbilling.py", "nothing.js", ""])
def test_other_files_are_not_served(name: str) -> None:
    assert client().get(f"/billing/static/{name}").status_code == 404


@pytest.mark.parametrize(
    ("wanted", "allowed"),
    [
        (f"{UI}/billing?tab=1", True),
        ("https://konnect.example.evil.test/", False),
        ("https://konnect.example@evil.test/", False),
        ("javascript:alert(1)", False),
        ("//konnect.example/", False),
        ("/v1/plans", False),
        ("https://[", False),
    ],
)
def test_page_leads_back_to_our_ui_only(wanted: str, allowed: bool) -> None:
    assert choose_return(config(ui_origins=(UI,)), wanted) == (wanted if allowed else None)


def test_policy_names_stripe_only_where_its_key_is_set() -> None:
    assert "stripe.com" not in build_policy(config())
    assert "https://js.stripe.com" in build_policy(config(stripe_publishable_key="pk_test_1"))
    local = build_policy(config(stripe_publishable_key="pk_test_1", stripe_api_base=SANDBOX))
    assert f"connect-src 'self' {SANDBOX};" in local
    assert "stripe.com" not in local


def test_policy_lets_only_our_uis_embed_the_page() -> None:
    assert build_policy(config(ui_origins=(UI,))).endswith(f"frame-ancestors 'self' {UI}")


def test_live_card_number_goes_to_stripe_only() -> None:
    live = config(
        stripe_secret_key="sk_live_1",
        jwt_development_secret=None,
        jwks_url="https://id.example",
        stripe_api_base=SANDBOX,
    )
    assert SANDBOX not in build_policy(live)
    app = Flask("gateway", static_folder=None)
    app.register_blueprint(build_blueprint(live))
    assert SANDBOX not in app.test_client().get("/billing").text


def test_theme_is_served_and_linked(tmp_path: Path) -> None:
    (tmp_path / "theme.css").write_text(":root { --accent: #123456; }")
    (tmp_path / "logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    browser = client(billing_theme=tmp_path)
    page = browser.get("/billing").text
    assert {"/billing/theme/theme.css", "/billing/theme/logo.svg"} <= {*linked_files(page)}
    assert browser.get("/billing/theme/logo.svg").content_type == "image/svg+xml"
