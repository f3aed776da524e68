"""Find errors by their codes."""

from gateway.errors import GatewayError


def list_error_classes() -> list[type[GatewayError]]:
    """Return ``GatewayError`` and all classes below it, each after its base class."""
    classes = [GatewayError]
    for each in classes:
        classes += each.__subclasses__()
    return classes


def error_of_code(code: str) -> type[GatewayError]:
    """Return the error class that has the recorded ``code``, or GatewayError if no class has it any more."""
    return next((each for each in list_error_classes() if each.code == code), GatewayError)
