import pytest

from gateway.sandbox import Sandbox
from tests.contract.scenario import stories
from tests.contract.stage import ScenarioAccount, ScenarioHistory
from tests.sandbox.conftest import _quiet_sdk, account, clock, sandbox
from tests.support.clock import ManualClock
from tests.support.stripe_account import plain

__all__ = ["_quiet_sdk", "account", "clock", "history", "sandbox"]


@pytest.fixture(scope="session")
def history(_quiet_sdk: None) -> ScenarioHistory:
    """Play every story of the scenario once and return what was exchanged."""
    history = ScenarioHistory()
    for name, story in stories():
        clock = ManualClock()
        with Sandbox(clock=clock, seed=name) as sandbox:
            stage = ScenarioAccount(sandbox, clock, name)
            story(stage)
            events = stage.v1.events.list({"limit": 100}).auto_paging_iter()
            history.events += [(name, plain(event)) for event in events]
            history.exchanges += stage.exchanges
            stage.recorder.close()  # type: ignore[no-untyped-call]  # the SDK says no types here
    return history
