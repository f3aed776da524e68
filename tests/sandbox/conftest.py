from collections.abc import Iterator

import pytest
import stripe

from gateway.sandbox import Sandbox
from tests.support.stripe_account import Account, Clock
from tests.support.webhook_receiver import Receiver, receiving


@pytest.fixture(scope="session", autouse=True)
def _quiet_sdk() -> None:
    stripe.enable_telemetry = False


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sandbox(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock, seed="tests", retry_delays=(0.02, 0.04, 0.08)) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox) -> Account:
    return Account(sandbox)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def test_clock(account: Account) -> str:
    return account.test_clock()


@pytest.fixture
def meter(account: Account) -> str:
    return account.meter().id


@pytest.fixture
def customer(account: Account) -> str:
    return account.customer().id
