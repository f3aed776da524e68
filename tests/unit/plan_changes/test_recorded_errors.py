"""A failed change raises the error that was recorded for it."""

import pytest

from gateway.error_codes import error_of_code
from gateway.errors import CardDeclined, GatewayError


@pytest.mark.parametrize(("code", "raised"), [("card_declined", CardDeclined), ("of_an_older_release", GatewayError)])
def test_recorded_code_names_its_error(code: str, raised: type[GatewayError]) -> None:
    assert error_of_code(code) is raised
