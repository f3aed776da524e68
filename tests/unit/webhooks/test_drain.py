"""The backoff of a failed event."""

from datetime import timedelta

import pytest

from gateway.services.webhooks.drain import MAX_ATTEMPTS, compute_backoff


@pytest.mark.parametrize(
    ("attempts", "longest"),
    [
        (1, timedelta(seconds=5)),
        (2, timedelta(seconds=20)),
        (3, timedelta(seconds=80)),
        (4, timedelta(seconds=320)),
        (7, timedelta(seconds=20480)),
        (8, timedelta(hours=12)),
        (MAX_ATTEMPTS, timedelta(hours=12)),
    ],
)
def test_backoff_quadruples_up_to_a_limit_with_jitter(attempts: int, longest: timedelta) -> None:
    waits = {compute_backoff(attempts) for _ in range(200)}
    assert all(longest / 2 <= wait <= longest for wait in waits)
    assert len(waits) > 100
    assert min(waits) < longest * 0.7
    assert max(waits) > longest * 0.8
