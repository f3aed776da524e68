from dataclasses import dataclass, field

import pytest

from gateway.sandbox import Sandbox
from tests.contract.scenario import stories
from tests.contract.stage import Exchange, Stage
from tests.sandbox.conftest import _quiet_sdk, account, clock, sandbox
from tests.support.stripe_account import Clock, Json, plain

__all__ = ["_quiet_sdk", "account", "clock", "history", "sandbox"]


@dataclass
class History:
    """The exchanges of all stories, and each event with the name of its story."""

    exchanges: list[Exchange] = field(default_factory=list)
    events: list[tuple[str, Json]] = field(default_factory=list)


@pytest.fixture(scope="session")
def history(_quiet_sdk: None) -> History:
    """Play every story of the scenario once and return what was exchanged."""
    history = History()
    for name, story in stories():
        clock = Clock()
        with Sandbox(clock=clock, seed=name) as sandbox:
            stage = Stage(sandbox, clock, name)
            story(stage)
            events = stage.v1.events.list({"limit": 100}).auto_paging_iter()
            history.events += [(name, plain(event)) for event in events]
            history.exchanges += stage.exchanges
            stage.recorder.close()  # type: ignore[no-untyped-call]  # the SDK says no types here
    return history
