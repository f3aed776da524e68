"""The addresses on which ``gateway serve`` listens."""

import pytest

from gateway.commands.serve import choose_metrics_address


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1:8000", "127.0.0.1:9464"),
        ("0.0.0.0:8001", "127.0.0.1:9465"),
        ("[::]:80", "127.0.0.1:1544"),
        (":65535", "127.0.0.1:64071"),
        ("unix:/run/gateway.sock", "127.0.0.1:9464"),
    ],
)
def test_the_metrics_follow_the_public_port(bind: str, address: str) -> None:
    assert choose_metrics_address(bind) == address
