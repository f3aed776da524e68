"""What each organization of the story does, and on which day of its life."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

GOOD, BAD = "pm_card_visa", "pm_card_chargeCustomerFail"


@dataclass(frozen=True)
class Act:
    """One thing that an organization does. ``what`` names a method of ``story.Life``."""

    day: int
    what: str
    given: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """The life of one organization, which begins on the day ``begins`` of the story."""

    organization_id: str
    begins: int
    currency: str
    country: str
    acts: tuple[Act, ...]

    @property
    def tax(self) -> Fraction:
        """Return the rate of the country, as the sandbox's README says."""
        return Fraction(19, 100) if self.country == "DE" else Fraction(0)


def act(day: int, what: str, **given: Any) -> Act:
    """Return an act."""
    return Act(day, what, given)


def grow(size: int) -> tuple[Act, ...]:
    """Try Plus, convert, follow the number of services, upgrade, and go yearly."""
    return (
        act(0, "try_plus"),
        act(3, "use", api_calls=40_000),
        act(9, "add_card", card=GOOD),
        act(12, "report_level", value=size),
        act(33, "use", api_calls=91_003 * size, portal_services=14),
        act(38, "report_level", value=size + 2),
        act(45, "report_level", value=size + 1),
        act(46, "use", portal_services=12 + size),
        act(63, "use", days_ago=6, api_calls=20_002),
        act(66, "change", plan="pro"),
        act(70, "use", api_calls=130_001 + size),
        act(81, "report_level", value=size + 5),
        act(88, "use", api_calls=7_777),
        act(133, "report_level", value=size + 9),
        act(160, "change", interval="year"),
        act(171, "use", api_calls=455_555),
        act(195, "report_level", value=size + 3),
        act(220, "use", api_calls=99_999),
        act(222, "use", days_ago=34, api_calls=11_999),
        act(250, "report_level", value=size + 4),
        act(333, "change", interval="month"),
        act(350, "use", api_calls=155_511),
        act(371, "cancel"),
        act(411, "change", plan="plus"),
    )


def fail_to_pay(size: int) -> tuple[Act, ...]:
    """Begin on Free, buy Plus, fail to pay twice and recover, and go yearly."""
    return (
        act(0, "enrol"),
        act(4, "add_card", card=GOOD),
        act(9, "change", plan="plus", quantity=size),
        act(13, "use", api_calls=220_011, portal_services=3),
        act(21, "change", quantity=size + 3),
        act(22, "change", quantity=size + 1),
        act(40, "use", api_calls=31_313),
        act(47, "add_card", card=BAD),
        act(66, "add_card", card=GOOD),
        act(66, "pay"),
        act(70, "use", api_calls=60_606, portal_services=25),
        act(86, "change", quantity=size + 4),
        act(101, "change", plan="pro", quantity=size + 2),
        act(107, "use", api_calls=333_333),
        act(140, "change", plan="plus", quantity=size + 2),
        act(144, "use", api_calls=123_456, portal_services=11),
        act(200, "change", interval="year"),
        act(210, "use", api_calls=87_654),
        act(244, "change", quantity=size + 9),
        act(300, "change", quantity=size),
        act(324, "add_card", card=BAD),
        act(325, "use", api_calls=6_000_000),
        act(358, "add_card", card=GOOD),
        act(358, "pay"),
        act(400, "use", api_calls=70_007),
    )


def leave(size: int) -> tuple[Act, ...]:
    """Let the trial lapse, return to Free, buy Plus, leave it and come back with the credit."""
    return (
        act(0, "try_plus"),
        act(5, "use", api_calls=1_000),
        act(36, "add_card", card=GOOD),
        act(38, "use", api_calls=5_005),
        act(42, "change", plan="plus", quantity=size),
        act(44, "use", api_calls=4_000_001, portal_services=20),
        act(52, "cancel"),
        act(75, "change", plan="plus", quantity=size + 1),
        act(79, "use", api_calls=90_019),
        act(120, "use", api_calls=10_000),
        act(128, "cancel"),
        act(200, "change", plan="pro", quantity=size),
        act(203, "use", api_calls=250_000),
        act(235, "use", days_ago=33, api_calls=13_013),
        act(240, "change", interval="year"),
        act(280, "change", plan="plus", quantity=size + 1),
        act(290, "use", api_calls=70_000, portal_services=16),
        act(330, "cancel"),
    )


def never_pay(size: int) -> tuple[Act, ...]:
    """Lose Plus because nothing is paid, pay the debt later and begin again."""
    return (
        act(0, "enrol"),
        act(1, "add_card", card=GOOD),
        act(2, "change", plan="plus", quantity=size),
        act(10, "use", api_calls=44_444, portal_services=10 + size),
        act(40, "add_card", card=BAD),
        act(100, "add_card", card=GOOD),
        act(101, "pay"),
        act(105, "change", plan="plus", quantity=2),
        act(111, "use", api_calls=77_077),
        act(190, "change", plan="pro", quantity=size),
        act(250, "use", api_calls=400_000),
        act(301, "change", interval="year"),
        act(360, "cancel"),
    )


LIVES = (grow, fail_to_pay, leave, never_pay)


def write_scripts(number: int, *, days: int) -> Iterator[Script]:
    """Yield the scripts of so many organizations. The story ends after ``days``."""
    for each in range(number):
        begins = 7 * (each // len(LIVES)) + each % len(LIVES)
        acts = LIVES[each % len(LIVES)](1 + each % 6)
        yield Script(
            organization_id=f"org_{each + 1}",
            begins=begins,
            currency=("usd", "eur")[each % 3 == 2],
            country=("US", "DE")[each % 5 in (1, 2)],
            acts=tuple(act for act in acts if begins + act.day <= days),
        )
