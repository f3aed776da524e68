"""What a Stripe account sets in its dashboard, and no API call can."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json

DAY = 86_400


@dataclass(frozen=True)
class Settings:
    """https://docs.stripe.com/billing/revenue-recovery/smart-retries, and Stripe's billing settings.

    ``retry_days``: days from each failed try to the next; after the last one a renewal that is still unpaid leaves its
    subscription as ``after_retries`` says. ``upcoming_days``: how long before a renewal ``invoice.upcoming`` is sent.
    """

    retry_days: tuple[int, ...] = (3, 5, 7)
    after_retries: Literal["canceled", "unpaid", "past_due"] = "canceled"
    upcoming_days: int = 3

    def changed(self, given: object) -> "Settings":
        """These with some set anew; a StripeError names what cannot be."""
        if not isinstance(given, dict) or not given.keys() <= _POSSIBLE.keys():
            raise invalid(f"Settings are a JSON object of {', '.join(_POSSIBLE)}.")
        for name, value in given.items():
            if not _POSSIBLE[name](value):
                raise invalid(f"Invalid {name}: {value!r}", param=name)
        days = {"retry_days": tuple(given["retry_days"])} if "retry_days" in given else {}
        return replace(self, **(given | days))

    def shown(self) -> Json:
        """As JSON."""
        return asdict(self)


def _is_day(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_DAYS


_MOST_DAYS = 60
_POSSIBLE: dict[str, Callable[[object], bool]] = {
    "retry_days": lambda value: isinstance(value, list) and all(_is_day(day) for day in value),
    "after_retries": lambda value: value in ("canceled", "unpaid", "past_due"),
    "upcoming_days": _is_day,
}
