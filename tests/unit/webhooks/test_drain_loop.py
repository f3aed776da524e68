"""The pause between two batches of a drain."""

from gateway.services.webhooks.drain_loop import GATHER, LINGER, LOAD, choose_pause
from gateway.services.webhooks.wakeup import PAUSE


def test_pause_is_longer_only_after_a_large_batch() -> None:
    assert [choose_pause(each) for each in (0, 1, LOAD - 1)] == [GATHER] * 3
    assert choose_pause(LOAD) > GATHER


def test_drain_looks_again_before_it_stops_lingering() -> None:
    assert choose_pause(LOAD) < PAUSE < LINGER
