"""The wake-up loses no call that arrives while it works, and always ends when it is closed."""

import threading
from collections.abc import Iterator

import pytest

from gateway.db.session import Database
from gateway.errors import DatabaseUnavailable
from gateway.services.webhooks import wakeup as wakeup_module
from gateway.services.webhooks.wakeup import Wakeup


class HeldInbox:
    """Stands in for the database. Each check blocks until ``resume`` is released."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.resume = threading.Semaphore(0)

    def check(self, _database: Database, *, rely_on_running: bool) -> bool:  # noqa: ARG002 - the signature of defer_drain
        self.started.release()
        assert self.resume.acquire(timeout=60)
        return True


@pytest.fixture
def inbox(monkeypatch: pytest.MonkeyPatch) -> HeldInbox:
    inbox = HeldInbox()
    monkeypatch.setattr(wakeup_module, "defer_drain", inbox.check)
    monkeypatch.setattr(wakeup_module, "PAUSE", 0.01)
    return inbox


@pytest.fixture
def wakeup(inbox: HeldInbox) -> Iterator[Wakeup]:
    wakeup = Wakeup(Database("postgresql://nowhere"))
    yield wakeup
    inbox.resume.release(10)
    wakeup.close()


def test_a_call_during_a_check_causes_another_check(wakeup: Wakeup, inbox: HeldInbox) -> None:
    wakeup.request_drain()
    assert inbox.started.acquire(timeout=10)
    wakeup.request_drain()  # the running check may have missed this event
    inbox.resume.release()
    assert inbox.started.acquire(timeout=10)


def test_one_call_causes_only_one_check(wakeup: Wakeup, inbox: HeldInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    idle = threading.Event()
    flag = wakeup._requested  # noqa: SLF001 - no public call shows that the thread waits for the next request
    wait = flag.wait

    def wait_for_request() -> bool:
        if not flag.is_set():
            idle.set()
        return wait()

    monkeypatch.setattr(flag, "wait", wait_for_request)
    wakeup.request_drain()
    assert inbox.started.acquire(timeout=10)
    inbox.resume.release(10)
    assert idle.wait(10)
    assert not inbox.started.acquire(blocking=False)


def test_a_close_during_wake_up_checks_once_and_ends(
    wakeup: Wakeup, inbox: HeldInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup_module, "CLOSE_TIMEOUT", 60)
    inbox.resume.release(10)
    closing = threading.Thread(target=wakeup.close, daemon=True)
    flag = wakeup._requested  # noqa: SLF001 - no public call can hit the moment between wake-up and clear
    set_flag, clear_flag = flag.set, flag.clear
    set_by_close = threading.Event()

    def set_and_note() -> None:
        set_flag()
        if threading.current_thread() is closing:
            set_by_close.set()

    def close_and_clear() -> None:
        if not closing.ident:
            closing.start()
            assert set_by_close.wait(10)
        clear_flag()

    monkeypatch.setattr(flag, "set", set_and_note)
    monkeypatch.setattr(flag, "clear", close_and_clear)
    wakeup.request_drain()
    assert inbox.started.acquire(timeout=10)
    closing.join(10)
    assert not closing.is_alive()


def test_wake_up_is_repeated_after_an_outage(inbox: HeldInbox, monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[bool] = []

    def fail_once(_database: Database, *, rely_on_running: bool) -> bool:  # noqa: ARG001 - the signature of defer_drain
        checks.append(True)
        if len(checks) == 1:
            raise DatabaseUnavailable("away")
        return inbox.check(_database, rely_on_running=False)

    monkeypatch.setattr(wakeup_module, "defer_drain", fail_once)
    monkeypatch.setattr(wakeup_module, "OUTAGE_PAUSE", 0.01)
    wakeup = Wakeup(Database("postgresql://nowhere"))
    wakeup.request_drain()
    assert inbox.started.acquire(timeout=10)
    inbox.resume.release(10)
    wakeup.close()


def test_an_unresponsive_database_does_not_delay_close(
    wakeup: Wakeup, inbox: HeldInbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeup_module, "CLOSE_TIMEOUT", 0.1)
    wakeup.request_drain()
    assert inbox.started.acquire(timeout=10)
    closing = threading.Thread(target=wakeup.close, daemon=True)
    closing.start()
    closing.join(10)
    assert not closing.is_alive()
