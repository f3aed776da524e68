"""Seed files, which contain fixtures of Stripe's CLI and make ids and times reproducible."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import stripe
from werkzeug.test import Client

from gateway.sandbox import Sandbox, StartError
from gateway.sandbox.fixtures import create
from gateway.sandbox.seed import load
from tests.support.json_types import Json
from tests.support.processes import free_port
from tests.support.stripe_account import plain
from tests.support.wait import eventually
from tests.support.webhook_receiver import WebhookReceiver

START = 1_793_491_200
SEED: Json = {
    "_meta": {"template_version": 0},
    "seed": "shop",
    "time": "2026-11-01T00:00:00Z",
    "fixtures": [
        {"name": "plus", "path": "/v1/products", "method": "post", "params": {"name": "Plus", "active": True}},
        {
            "name": "monthly",
            "path": "/v1/prices",
            "method": "post",
            "params": {
                "product": "${plus:id}",
                "currency": "usd",
                "unit_amount": 2000,
                "recurring": {"interval": "month"},
            },
        },
        {"name": "owner", "path": "/v1/customers", "method": "POST", "params": {"metadata": {"plan": "${plus:name}!"}}},
        {
            "name": "card",
            "path": "/v1/payment_methods/pm_card_visa/attach",
            "method": "post",
            "params": {"customer": "${owner:id}"},
        },
        {
            "name": "subscription",
            "path": "/v1/subscriptions",
            "method": "post",
            "params": {
                "customer": "${owner:id}",
                "default_payment_method": "${card:id}",
                "items": [{"price": "${monthly:id}", "quantity": 2}],
            },
        },
        {
            "name": "same_price",
            "path": "/v1/prices/${subscription:items.data.0.price.id}",
            "method": "get",
        },
        {
            "name": "refused",
            "path": "/v1/customers/cus_nope",
            "method": "get",
            "expected_error_type": "invalid_request_error",
        },
    ],
}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", "sandbox", f"--port={free_port()}", *arguments]


@contextmanager
def running(*arguments: str) -> Iterator[tuple[stripe.StripeClient, list[str]]]:
    """Run the command. Yield a client and the lines that the command has printed when it is serving."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            printed = [process.stdout.readline() for _ in range(1 + len(arguments))]
            url = re.search(r"http://127.0.0.1:\d+", printed[0])
            assert url is not None, printed
            yield stripe.StripeClient("sk_test_x", base_addresses={"api": url[0]}), printed
        finally:
            process.terminate()
            assert process.wait(20) == 0


def written(path: Path, content: Any) -> str:
    file = path / "seed.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return f"--seed={file}"


def everything(client: stripe.StripeClient) -> Json:
    """Return everything that the sandbox stores, without its own address."""
    v1: Any = client.v1
    kinds = {"events", "customers", "products", "prices", "subscriptions", "invoices"}
    found = {kind: [plain(row) for row in getattr(v1, kind).list({"limit": 100}).data] for kind in kinds}
    return json.loads(re.sub(r"http://127.0.0.1:\d+", "", json.dumps(found)))  # type: ignore[no-any-return]  # JSON


def test_two_runs_of_a_file_create_the_same_ids_and_times(tmp_path: Path) -> None:
    file = written(tmp_path, SEED)
    with running(file) as (first, printed), running(file) as (second, _printed):
        known = everything(first)
        assert known == everything(second)
        assert first.v1.customers.create({"name": "B"}).id == second.v1.customers.create({"name": "B"}).id
        (subscription,) = first.v1.subscriptions.list().data
    assert printed[1].startswith("Made 7 requests from ")
    assert {event["created"] for event in known["events"]} == {START}
    assert subscription.status == "active"
    assert subscription.items.data[0].quantity == 2
    assert known["customers"][0]["metadata"] == {"plan": "Plus!"}


def test_clock_runs_after_the_fixtures(tmp_path: Path) -> None:
    with running(written(tmp_path, {"time": START})) as (client, _printed):
        eventually(lambda: client.v1.customers.create({"name": "A"}).created > START)
        assert client.v1.customers.create({"name": "A"}).created < START + 60


def test_clock_starts_now_without_a_time(tmp_path: Path) -> None:
    with running(written(tmp_path, {"seed": 1})) as (client, _printed):
        assert abs(client.v1.customers.create({"name": "A"}).created - time.time()) < 60


def test_endpoint_receives_fixture_events_and_its_secret_is_printed(tmp_path: Path, receiver: WebhookReceiver) -> None:
    file, webhook = written(tmp_path, SEED), f"--webhook={receiver.url}"
    with running(file, webhook) as (client, printed):
        secret = printed[2].split()[-1]
        assert printed[2] == f"Webhooks go to {receiver.url}, signed with {secret}\n"
        eventually(lambda: "customer.subscription.created" in receiver.types())
        events = [client.construct_event(body, signature, secret) for body, signature in receiver.received]
        assert {event.created for event in events} == {START}
    with running(file, webhook) as (_client, printed_again):
        assert printed_again[2] == printed[2]


def test_endpoint_secret_differs_without_a_seed(receiver: WebhookReceiver) -> None:
    with running(f"--webhook={receiver.url}") as (_client, first), running(f"--webhook={receiver.url}") as (_, second):
        assert first[1] != second[1]


def changed(fixture: int, **fields: Any) -> Json:
    fixtures = [dict(each) for each in SEED["fixtures"]]
    fixtures[fixture] |= fields
    return SEED | {"fixtures": fixtures}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "seed.json is not JSON: Expecting"),
        ("[]", "seed.json: expected an object"),
        ({"fixture": []}, "seed.json: unknown field fixture, expected one of _meta, fixtures, seed, time"),
        ({"seed": 1.5}, "seed must be a whole number or a string"),
        ({"time": "tomorrow"}, "time must be unix seconds or"),
        ({"time": "2026-11-01T00:00:00"}, "time must be unix seconds or a date and time with an offset"),
        ({"fixtures": {}}, "fixtures must be a list"),
        ({"fixtures": [1]}, "fixture 1: expected an object"),
        (changed(1, names="x"), "fixture 2: unknown field names"),
        (changed(1, path=None), "fixture 2: path must be a string"),
        (changed(1, path="v1/prices"), "fixture 2: path must begin with /v1/"),
        (changed(1, method="put"), "fixture 2: method must be one of get, post, delete"),
        (changed(1, name="plus"), "fixture 2: an earlier fixture is already named plus"),
        (changed(1, params=[]), "fixture 2: params must be an object"),
        (changed(1, params={"wat": 1}), "fixture 2 (monthly): Received unknown parameter: wat"),
        (changed(1, path="/v1/nothing"), "fixture 2 (monthly): Unrecognized request URL (POST: /v1/nothing)"),
        (changed(2, params={"name": "${own:id}"}), "fixture 3 (owner): ${own:id} refers to no earlier fixture"),
        (changed(2, params={"name": "${plus:ids}"}), "fixture 3 (owner): the answer of plus has no ids"),
        (changed(5, path="/v1/prices/${subscription:items.data.1.id}"), "(same_price): the answer of subscription"),
        (changed(6, expected_error_type="card_error"), "fixture 7 (refused): No such customer: 'cus_nope'"),
        (changed(0, expected_error_type="card_error"), "fixture 1 (plus): expected the error card_error, got none"),
    ],
)
def test_mistake_in_the_file_is_reported(tmp_path: Path, content: Any, words: str) -> None:
    file = Path(written(tmp_path, content).removeprefix("--seed="))
    sandbox = Sandbox()
    with pytest.raises(StartError, match=re.escape(words)) as refused:
        create(Client(sandbox.app), load(file))
    sandbox.close()
    assert "\n" not in str(refused.value)


def test_command_exits_with_the_mistake_as_its_only_line(tmp_path: Path) -> None:
    file = written(tmp_path, changed(1, params={"wat": 1}))
    ended = subprocess.run(command(file), capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "gateway: fixture 2 (monthly): Received unknown parameter: wat\n"


def test_port_in_use_is_reported_in_one_line(sandbox: Sandbox) -> None:
    port = sandbox.url.rpartition(":")[2]
    arguments = [sys.executable, "-m", "gateway", "sandbox", f"--port={port}"]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert re.fullmatch(r"gateway: .*in use.*\n", ended.stderr)


def test_invalid_address_is_reported_in_one_line() -> None:
    ended = subprocess.run(command("--webhook=nowhere"), capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (1, "gateway: --webhook nowhere: Invalid URL: nowhere\n")
