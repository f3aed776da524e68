"""One organization sends as much as it can. It gets its share, and no more."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt
import pytest
import requests

from gateway.catalog import Catalog
from gateway.services.operations.catalog_sync import sync_catalog
from tests.faults.conftest import NewDatabase
from tests.support.deployment import Deployment, deployed
from tests.support.wait import eventually

_numbers = count()
CLICKS = 16  # requests at the same moment


@pytest.fixture(scope="module")
def shipped(new_database: NewDatabase, server: str, directory: Path) -> Iterator[Deployment]:
    """Run web and worker with the shipped numbers. Each test has its own organizations and users."""
    with ExitStack() as resources:
        url = resources.enter_context(new_database(server))
        logs = Path(resources.enter_context(TemporaryDirectory(dir=directory)))
        deployment = resources.enter_context(deployed(url, logs))
        for name in ("GATEWAY_RATE_LIMIT_FACTOR", "GATEWAY_CATALOG"):
            deployment.environment.pop(name, None)
        list(sync_catalog(replace(deployment.gateway, catalog=Catalog.load())))
        deployment.serve()
        deployment.work()
        yield deployment


class Member:
    """One user of one organization."""

    def __init__(self, deployment: Deployment, organization_id: str, user: str) -> None:
        self.organization_id = organization_id
        self._deployment = deployment
        config = deployment.gateway.config
        claims = {
            "iss": config.jwt_issuer,
            "aud": config.jwt_audience,
            "sub": user,
            "organization_id": organization_id,
            "scope": "billing:read billing:write",
            "exp": 4_000_000_000,
        }
        token = jwt.encode(claims, config.jwt_development_secret or "", "HS256")
        self._headers = {"Authorization": f"Bearer {token}"}

    def __call__(self, method: str, path: str, key: str | None = None, **body: object) -> requests.Response:
        headers = self._headers | ({"Idempotency-Key": key} if key is not None else {})
        url = f"http://127.0.0.1:{self._deployment.port}/v1{path}"
        return requests.request(method, url, json=body or None, headers=headers, timeout=60)

    def enrol(self) -> None:
        assert self("POST", "/subscription", plan="free").status_code == 201

    def add_card(self, template: str = "pm_card_visa") -> None:
        customer = self.customer()
        stripe = self._deployment.stripe
        card = stripe.v1.payment_methods.attach(template, {"customer": customer})
        stripe.v1.customers.update(customer, {"invoice_settings": {"default_payment_method": card.id}})

    def customer(self) -> str:
        query = "SELECT stripe_customer_id FROM organizations WHERE id = %s"
        [(customer,)] = self._deployment.rows(query, self.organization_id)
        return str(customer)

    def cards(self) -> int:
        return len(self._deployment.stripe.v1.customers.payment_methods.list(self.customer(), {"limit": 100}).data)


@pytest.fixture
def member(shipped: Deployment) -> Iterator[Member]:
    """Enrol a new organization on Free and return its user."""
    number = next(_numbers)
    member = Member(shipped, f"org_limits_{number}", f"user_{number}")
    member.enrol()
    yield member
    shipped.end_faults()


def repeat(times: int, call: Callable[[int], requests.Response]) -> list[requests.Response]:
    """Call ``times`` times, ``CLICKS`` of them at the same moment."""
    with ThreadPoolExecutor(CLICKS) as pool:
        return list(pool.map(call, range(times)))


def statuses(answers: list[requests.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


def test_previews_of_one_user_leave_the_others_their_share(shipped: Deployment, member: Member) -> None:
    answers = repeat(90, lambda _: member("POST", "/subscription/preview", plan="plus"))
    assert statuses(answers) == {200: 40, 429: 50}
    [refused, *_] = [answer for answer in answers if answer.status_code == 429]
    assert refused.json()["code"] == "rate_limited"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert '"stripe-user-minute";r=0;t=' in refused.headers["RateLimit"]
    colleague = Member(shipped, member.organization_id, "colleague")
    assert statuses(repeat(40, lambda _: colleague("GET", "/payment-methods"))).keys() <= {200, 429}
    other = Member(shipped, "org_limits_other", "other")
    other.enrol()
    assert other("POST", "/subscription/preview", plan="plus").status_code == 200


def test_users_of_one_organization_share_its_limit(shipped: Deployment, member: Member) -> None:
    users = [Member(shipped, member.organization_id, f"colleague_{number}") for number in range(3)]
    answers = repeat(90, lambda number: users[number % 3]("GET", "/payment-methods"))
    assert statuses(answers) == {200: 60, 429: 30}


def test_setup_intents_are_few(member: Member) -> None:
    answers = repeat(30, lambda _: member("POST", "/billing-details/setup-intent"))
    assert statuses(answers) == {201: 10, 429: 20}


def test_ten_cards_are_enough(member: Member) -> None:
    for _ in range(10):
        member.add_card()
    eventually(lambda: member("POST", "/billing-details/setup-intent").status_code != 201)
    answer = member("POST", "/billing-details/setup-intent")
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_payment_methods")
    assert member.cards() == 10


def test_declined_payments_are_few_even_at_the_same_moment(shipped: Deployment, member: Member) -> None:
    member.add_card("pm_card_chargeCustomerFail")
    customer, stripe = member.customer(), shipped.stripe
    stripe.v1.invoice_items.create({"customer": customer, "amount": 1000, "currency": "usd"})
    made = stripe.v1.invoices.create({"customer": customer, "pending_invoice_items_behavior": "include"})
    invoice = stripe.v1.invoices.finalize_invoice(made.id, {"auto_advance": False})
    eventually(lambda: member("GET", f"/invoices/{invoice.id}").status_code == 200)
    shipped.fault("delay", method="POST", path=f"/v1/invoices/{invoice.id}/pay", seconds=0.3, times=100)
    users = [Member(shipped, member.organization_id, f"{member.organization_id}_{number}") for number in range(3)]
    repeat(30, lambda number: users[number % 3]("POST", f"/invoices/{invoice.id}/pay"))
    charges = stripe.v1.charges.list({"customer": customer, "limit": 100}).data
    assert 0 < len(charges) <= 5
    assert member("GET", f"/invoices/{invoice.id}").json()["status"] == "open"


def test_a_new_organization_gets_ten_units_and_a_preview_says_so(member: Member) -> None:
    member.add_card()
    preview = member("POST", "/subscription/preview", plan="plus", quantity=100)
    assert (preview.status_code, preview.json()["max_quantity"]) == (200, 10)
    refused = member("PATCH", "/subscription", plan="plus", quantity=100)
    assert (refused.status_code, refused.json()["code"]) == (409, "exposure_limit")
    assert refused.json()["max_quantity"] == 10
    assert member("PATCH", "/subscription", plan="plus", quantity=10).status_code == 200


def test_idempotency_keys_are_bounded(shipped: Deployment, member: Member) -> None:
    fill = """
        INSERT INTO idempotency_keys (organization_id, key, fingerprint, claimed_at, created_at)
        SELECT %s, 'key_' || number, 'fingerprint', now(), now() FROM generate_series(1, 99) AS number
    """
    whose = (member.organization_id,)
    shipped.rows(fill, *whose)
    for number in range(3):  # each makes room for the next one, because it is refused
        assert member("PATCH", "/subscription", key=f"another_{number}", plan="unknown").status_code == 422
    keys = "SELECT count(*) FROM idempotency_keys WHERE organization_id = %s"
    assert shipped.number(keys, *whose) == 100
    again = member("PATCH", "/subscription", key="another_2", plan="unknown")
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (422, "true")
    shipped.rows("UPDATE idempotency_keys SET status = 200 WHERE organization_id = %s AND status = 422", *whose)
    last = member("PATCH", "/subscription", key="last", plan="unknown")
    assert last.status_code == 429
    assert 86_000 < int(last.headers["Retry-After"]) <= 86_400
