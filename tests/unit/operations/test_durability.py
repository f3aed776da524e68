"""The doctor names what a crash or a failover of the database loses, under each setting."""

import pytest

from gateway.services.operations.durability import explain


@pytest.mark.parametrize(
    ("level", "synchronous", "standbys", "loses"),
    [
        ("off", "ANY 1 (a, b)", 2, "a crash of the database loses acknowledged events"),
        ("local", "ANY 1 (a, b)", 2, "Standbys that follow asynchronously: 2. A failover loses the last moments"),
        ("on", "", 1, "Standbys that follow asynchronously: 1. A failover loses the last moments"),
        ("on", "", 0, "flushed on one server. A failover loses the last moments"),
        ("remote_write", "a", 1, "lost if both machines crash"),
        ("on", "a", 1, "a failover to it loses nothing"),
        ("remote_apply", "a", 1, "a failover to it loses nothing"),
    ],
)
def test_settings_are_explained(level: str, synchronous: str, standbys: int, loses: str) -> None:
    assert loses in explain(level, synchronous, standbys)
