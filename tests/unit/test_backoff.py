"""The wait before the next attempt doubles up to a limit."""

from datetime import timedelta

import pytest

from gateway.services.backoff import compute_wait


@pytest.mark.parametrize(("doublings", "seconds"), [(0, 2), (1, 4), (4, 32), (5, 60), (16, 60), (1_000_000, 60)])
def test_wait_doubles_up_to_the_limit(doublings: int, seconds: int) -> None:
    wait = compute_wait(timedelta(seconds=2), timedelta(minutes=1), doublings=doublings)
    assert wait == timedelta(seconds=seconds)
