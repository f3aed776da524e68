"""The wake-up: what is asked for while it is at work is not lost, and nothing keeps it from its end."""

import threading
from collections.abc import Iterator

import pytest

from gateway.db.session import Database
from gateway.services.webhooks import wakeup as wakeup_module
from gateway.services.webhooks.wakeup import Wakeup


class HeldInbox:
    """What is looked into, in place of the database; each look waits until it may go on."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def look(self, _database: Database, *, rely_on_running: bool) -> bool:  # noqa: ARG002 - called like defer_drain
        self.begun.release()
        assert self.go_on.acquire(timeout=60)
        return True


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> HeldInbox:
    inbox = HeldInbox()
    monkeypatch.setattr(wakeup_module, "defer_drain", inbox.look)
    monkeypatch.setattr(wakeup_module, "PAUSE", 0.01)
    return inbox


@pytest.fixture
def wakeup(inbox: HeldInbox) -> Iterator[Wakeup]:
    wakeup = Wakeup(Database("postgresql://nowhere"))
    yield wakeup
    inbox.go_on.release(10)
    wakeup.close()


def test_what_is_asked_for_while_a_look_is_on_its_way_is_looked_for_again(wakeup: Wakeup, inbox: HeldInbox) -> None:
    wakeup.request_drain()
    assert inbox.begun.acquire(timeout=10)
    wakeup.request_drain()  # the look may have passed its event by
    inbox.go_on.release()
    assert inbox.begun.acquire(timeout=10)


def test_what_was_looked_for_is_not_looked_for_again(wakeup: Wakeup, inbox: HeldInbox) -> None:
    wakeup.request_drain()
    assert inbox.begun.acquire(timeout=10)
    inbox.go_on.release()
    assert not inbox.begun.acquire(timeout=0.2)


def test_one_that_is_closed_in_the_moment_it_wakes_looks_once_and_ends(
    wakeup: Wakeup, inbox: HeldInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup_module, "CLOSE_TIMEOUT", 60)
    inbox.go_on.release(10)
    closing = threading.Thread(target=wakeup.close, daemon=True)
    lower = wakeup._requested.clear  # noqa: SLF001 - the moment between the two that nothing outside can hit

    def close_and_lower() -> None:
        if not closing.ident:
            closing.start()
            assert wakeup._stopped.wait(10)  # noqa: SLF001
            threading.Event().wait(0.1)  # `close` has raised the flag by now
        lower()

    monkeypatch.setattr(wakeup._requested, "clear", close_and_lower)  # noqa: SLF001
    wakeup.request_drain()
    assert inbox.begun.acquire(timeout=10)
    closing.join(10)
    assert not closing.is_alive()


def test_a_database_that_does_not_answer_does_not_hold_up_the_end(
    wakeup: Wakeup, inbox: HeldInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup_module, "CLOSE_TIMEOUT", 0.1)
    wakeup.request_drain()
    assert inbox.begun.acquire(timeout=10)
    closing = threading.Thread(target=wakeup.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
