"""Identifiers that look like Stripe's, reproducible from a seed."""

import random
import string

_ALPHABET = string.ascii_letters + string.digits
_SHORT = {"cus": 14, "prod": 14, "si": 14}
_LONG = 24


class Ids:
    """A source of identifiers.

    As at Stripe, ``cus_`` and a few others are short. The rest are long and begin with a 1.
    """

    def __init__(self, seed: int | str | None = None) -> None:
        self._random = random.Random(seed)  # nosec B311  # noqa: S311 - identifiers of a sandbox, not secrets
        # Request ids come from a separate stream. Otherwise a read would change the id of the next created object.
        self._requests = random.Random(None if seed is None else f"requests of {seed}")  # nosec B311  # noqa: S311 - as above

    def request(self) -> str:
        """Return a new request id, ``req_…``."""
        return f"req_{''.join(self._requests.choices(_ALPHABET, k=14))}"

    def new(self, prefix: str) -> str:
        """Return a new id. ``Ids().new("sub")`` returns ``sub_1…``."""
        if prefix in _SHORT:
            return f"{prefix}_{self.text(_SHORT[prefix])}"
        return f"{prefix}_1{self.text(_LONG - 1)}"

    def text(self, length: int, alphabet: str = _ALPHABET) -> str:
        """Return random text, such as the tail of a secret or an invoice prefix."""
        return "".join(self._random.choices(alphabet, k=length))
