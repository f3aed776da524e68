"""Polls until a condition holds. Only this file may sleep in the tests."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(condition: Callable[[], bool], seconds: float = 30, interval: float = 0.01) -> None:
    """Wait until the condition holds. Fail after ``seconds``."""
    poll(condition, bool, seconds, interval)


def poll(read: Callable[[], T], accept: Callable[[T], bool], seconds: float = 30, interval: float = 0.01) -> T:
    """Read a value until ``accept`` accepts it, then return it. Fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not accept(value := read()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} seconds"
        time.sleep(interval)
    return value
