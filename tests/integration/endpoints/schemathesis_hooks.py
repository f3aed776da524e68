"""Replace the two header values of the document's examples that would refuse every request after the first."""

import itertools
from typing import Any

import schemathesis

COUNTER = itertools.count()


@schemathesis.hook
def before_call(
    context: schemathesis.HookContext,  # noqa: ARG001 - schemathesis passes it by name
    case: schemathesis.Case[Any],
    kwargs: dict[str, object],  # noqa: ARG001 - the same
) -> None:
    """Use each example key once, and make the example tag match."""
    headers = case.headers
    if headers.get("Idempotency-Key", "").startswith("6f1c2c1e"):
        headers["Idempotency-Key"] = f"key-{next(COUNTER)}"
    if headers.get("If-Match", "").startswith('"4-'):
        headers["If-Match"] = "*"
