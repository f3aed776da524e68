"""The Billing page of a real Stripe account. A stand-in for Stripe.js sends its requests to the sandbox."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Route

from gateway.pages.billing import build_blueprint
from tests.support.config import config
from tests.support.visitor import Visitor

STRIPE_JS = Path(__file__).with_name("stripe.js")


def open_real_account(visitor: Visitor) -> Visitor:
    """Return the person in another tab, whose page, Stripe.js and Stripe are those of a real account."""
    app = Flask("gateway", static_folder=None)
    app.register_blueprint(build_blueprint(config(stripe_publishable_key="pk_test_1")))
    answer = app.test_client().get("/billing")

    def ask_sandbox(route: Route) -> None:
        asked = urlsplit(route.request.url)
        address = f"{visitor.deployment.sandbox_url}{asked.path}?{asked.query}"
        route.fulfill(response=route.fetch(url=address))

    found = visitor.another_tab()
    page = found.page
    page.route(
        re.compile(r"/billing(\?.*)?$"), lambda route: route.fulfill(body=answer.text, headers=dict(answer.headers))
    )
    page.route("https://js.stripe.com/**", lambda route: route.fulfill(path=STRIPE_JS, content_type="text/javascript"))
    page.route("https://api.stripe.com/**", ask_sandbox)
    return found
