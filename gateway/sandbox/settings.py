"""Account settings that only Stripe's dashboard can change, and not its API."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

from gateway.sandbox.errors import invalid
from gateway.sandbox.json_types import Json
from gateway.sandbox.search_index import LONGEST_LAG

DAY = 86_400


@dataclass(frozen=True)
class Settings:
    """Retry, billing and tax settings (https://docs.stripe.com/billing/revenue-recovery/smart-retries).

    ``retry_days`` are the days from each failed attempt to the next. If the last attempt fails, the subscription takes
    the status ``after_retries``. Stripe sends ``invoice.upcoming`` ``upcoming_days`` before a renewal. A subscription
    takes the status ``when_overdue`` when a sent invoice is due and unpaid. ``overdue_days`` later, it takes the status
    ``after_overdue``. A search shows objects as they were ``search_lag`` seconds of real time ago. Usage counts
    ``usage_lag`` seconds of real time after its report. ``tax_percentages`` are the rates of automatic tax by country.
    Other countries collect no tax.
    """

    retry_days: tuple[int, ...] = (3, 5, 7)
    after_retries: Literal["canceled", "unpaid", "past_due"] = "canceled"
    upcoming_days: int = 3
    when_overdue: Literal["past_due", "active"] = "past_due"
    after_overdue: Literal["past_due", "unpaid", "canceled"] = "past_due"
    overdue_days: int = 30
    search_lag: float = 1.0
    usage_lag: float = 0.0
    tax_percentages: dict[str, float] = field(default_factory=lambda: {"DE": 19.0, "GB": 20.0})

    def changed(self, given: object) -> "Settings":
        """Return the settings with ``given`` applied. Raise StripeError naming an invalid setting."""
        if not isinstance(given, dict) or not given.keys() <= _VALID.keys():
            raise invalid(f"Settings must be a JSON object of {', '.join(_VALID)}.")
        for name, value in given.items():
            if not _VALID[name](value):
                raise invalid(f"Invalid {name}: {value!r}", param=name)
        days = {"retry_days": tuple(given["retry_days"])} if "retry_days" in given else {}
        return replace(self, **(given | days))

    def shown(self) -> Json:
        """Return the settings as JSON."""
        return asdict(self)


def _is_day(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_DAYS


def _is_lag(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_LAG


def _is_percentage(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _ALL


_MAX_DAYS, _ALL = 60, 100
_VALID: dict[str, Callable[[object], bool]] = {
    "retry_days": lambda value: isinstance(value, list) and all(_is_day(day) for day in value),
    "after_retries": lambda value: value in ("canceled", "unpaid", "past_due"),
    "upcoming_days": _is_day,
    "when_overdue": lambda value: value in ("past_due", "active"),
    "after_overdue": lambda value: value in ("past_due", "unpaid", "canceled"),
    "overdue_days": _is_day,
    "search_lag": _is_lag,
    "usage_lag": _is_lag,
    "tax_percentages": lambda value: isinstance(value, dict) and all(map(_is_percentage, value.values())),
}
