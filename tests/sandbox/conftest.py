from collections.abc import Iterator

import pytest
import stripe

from gateway.sandbox import Sandbox
from tests.support.clock import ManualClock
from tests.support.stripe_account import StripeAccount
from tests.support.webhook_receiver import WebhookReceiver, receiving


@pytest.fixture(scope="session", autouse=True)
def _quiet_sdk() -> None:
    stripe.enable_telemetry = False


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def sandbox(clock: ManualClock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock, seed="tests", retry_delays=(0.02, 0.04, 0.08)) as running:
        yield running


@pytest.fixture
def account(sandbox: Sandbox) -> StripeAccount:
    return StripeAccount(sandbox)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def test_clock(account: StripeAccount) -> str:
    return account.test_clock()


@pytest.fixture
def meter(account: StripeAccount) -> str:
    return account.meter().id


@pytest.fixture
def customer(account: StripeAccount) -> str:
    return account.customer().id
