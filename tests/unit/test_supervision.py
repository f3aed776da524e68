"""A loop that does not turn is found. One that rests, or whose process was suspended, is not."""

from gateway.supervision import DRAIN, FETCH, LIMIT, LISTEN, Supervision


def test_silent_loop_is_named() -> None:
    supervised = Supervision()
    supervised.beat(LISTEN)
    supervised.beat(FETCH)
    found = []
    for _ in range(LIMIT):
        supervised.beat(FETCH)
        found.append(supervised.count_second())
    assert found == [*[None] * (LIMIT - 1), LISTEN]


def test_resting_loop_is_not_silent() -> None:
    supervised = Supervision()
    supervised.beat(DRAIN)
    supervised.rest(DRAIN)
    assert [supervised.count_second() for _ in range(LIMIT)] == [None] * LIMIT


def test_reset_expects_no_loop() -> None:
    supervised = Supervision()
    supervised.beat(DRAIN)
    for _ in range(LIMIT - 1):
        supervised.count_second()
    supervised.reset()
    assert supervised.count_second() is None
