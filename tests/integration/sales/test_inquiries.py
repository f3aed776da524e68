"""The contact form stores valid inquiries and limits their rate."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from gateway.app import build_gateway, create_app
from gateway.db.models import Organization, SalesInquiry
from gateway.endpoints.request_context import EXTENSION
from gateway.services.runtime import Caller
from gateway.services.sales.inquiries import store_inquiry
from tests.support.api import ApiClient, problem_of
from tests.support.notified import NotifiedSystem, notify
from tests.support.sales import FORM, send_inquiry
from tests.support.world import World


def test_organization_may_send_five_inquiries_an_hour(sales: World) -> None:
    first = send_inquiry(sales)
    for _ in range(4):
        send_inquiry(sales)
    answer = sales.api()("POST", "/sales-inquiries", **FORM)
    assert problem_of(answer) == (429, "rate_limited")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert len(sales.rows(SalesInquiry)) == 5
    send_inquiry(sales, "org_2")
    with sales.gateway.database.transaction() as session:
        session.execute(
            text("UPDATE sales_inquiries SET created_at = created_at - interval '61 minutes' WHERE id = :id"),
            {"id": first},
        )
    send_inquiry(sales)
    assert sales.api().problem("POST", "/sales-inquiries", **FORM) == (429, "rate_limited")


def test_limit_holds_for_concurrent_requests_on_two_machines(sales: World) -> None:
    machines = [create_app(build_gateway(sales.gateway.config)) for _ in range(2)]
    token = sales.token()

    def post(number: int) -> int:
        return ApiClient(machines[number % 2].test_client(), token)("POST", "/sales-inquiries", **FORM).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(post, range(16)))
    for machine in machines:
        machine.extensions[EXTENSION].close()
    assert statuses == [201] * 5 + [429] * 11
    assert len(sales.rows(SalesInquiry)) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " \t "},
        {"name": "Ada\nBcc: everybody@example.test"},
        {"name": "x" * 201},
        {"company": "Ada\r\nX-Spam: no"},
        {"company": "Ada\u2028GmbH"},
        {"email": "ada@example.test\r\nBcc: everybody@example.test"},
        {"email": "ada@example.test, eve@example.test"},
        {"email": "ada"},
        {"message": "\n \n"},
        {"message": "x" * 5001},
        {"message": "a\u0000b"},
        {"message": "a\u001b[2Jb"},
        {"message": None},
        {"organization_id": "org_2"},
    ],
)
def test_invalid_inquiry_is_422_and_is_not_stored(sales: World, wrong: dict[str, Any]) -> None:
    answer = sales.api()("POST", "/sales-inquiries", **{**FORM, **wrong})
    assert problem_of(answer) == (422, "invalid_request")
    assert set(answer.get_json()["errors"]) == set(wrong)
    assert sales.rows(SalesInquiry) == []


def test_inquiry_keeps_every_language(sales: World, receiver: NotifiedSystem) -> None:
    # Both need invisible joiners: a Persian name, and an emoji of a family.
    persian = "\u0641\u0627\u0637\u0645\u0647\u200c\u0632\u0647\u0631\u0627"
    family = "\U0001f469\u200d\U0001f469\u200d\U0001f467"
    send_inquiry(sales, name=persian, company="Søn & Løg A/S", message=f"{family} „Grüße“\n\t<b>x</b>")
    notify(sales)
    message = json.loads(receiver.requests[0][1])
    assert (message["data"]["name"], message["data"]["message"]) == (persian, f"{family} „Grüße“\n\t<b>x</b>")


def test_closed_account_may_send_an_inquiry(sales: World) -> None:
    send_inquiry(sales)
    with sales.gateway.database.transaction() as session:
        session.execute(text("UPDATE organizations SET deleted = true"))
    send_inquiry(sales)
    assert [row.id for row in sales.rows(Organization)] == ["org_1"]


def test_table_refuses_an_inquiry_that_the_form_should_refuse(sales: World, receiver: NotifiedSystem) -> None:
    with pytest.raises(IntegrityError):
        store_inquiry(sales.gateway, Caller(organization_id="org_1", actor="test"), {**FORM, "message": "x" * 5001})
    notify(sales)
    assert (receiver.requests, sales.rows(SalesInquiry)) == ([], [])


def test_inquiry_without_a_database_is_503(sales: World) -> None:
    away = create_app(build_gateway(replace(sales.gateway.config, database_url="postgresql://gateway@127.0.0.1:1/x")))
    api = ApiClient(away.test_client(), sales.token())
    assert api.problem("POST", "/sales-inquiries", **FORM) == (503, "database_unavailable")
    away.extensions[EXTENSION].close()
