"""Reads are counted in memory, and nothing runs in the background for it more than once a minute."""

from gateway.endpoints.limits import FORGET_EVERY, PatientStorage


def test_many_counts_start_one_patient_thread() -> None:
    storage = PatientStorage()
    first = storage.timer
    assert [storage.incr("ada", 60) for _ in range(3)] == [1, 2, 3]
    assert (storage.timer, first.interval, first.daemon) == (first, FORGET_EVERY, True)
    first.cancel()


def test_an_old_count_is_not_added_to() -> None:
    storage = PatientStorage()
    assert [storage.incr("ada", 0) for _ in range(2)] == [1, 1]
    storage.timer.cancel()
