"""The addresses on which ``gateway serve`` listens."""

import pytest
from click.testing import CliRunner

from gateway.cli import cli
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


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--bind", "127.0.0.1:65536"),
        ("serve", "--metrics-bind", "[::1]:99999"),
        ("serve", "--workers", "0"),
        ("serve", "--threads", "0"),
        ("worker", "--concurrency", "0"),
    ],
)
def test_impossible_port_or_number_is_refused(arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, arguments)
    assert (result.exit_code, arguments[1] in result.stderr) == (2, True)
