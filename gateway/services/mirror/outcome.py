"""What the merge did with an observation."""

from enum import StrEnum

from gateway.services.mirror.ordering import Verdict


class Outcome(StrEnum):
    """What the merge did with an observation."""

    APPLIED = "applied"
    NOTED = "noted"
    STALE = "stale"
    REFRESHED = "refreshed"
    UNKNOWN = "unknown"
    """The customer is no organization of ours, or the product is no plan."""


OUTCOME_OF_VERDICT = {
    Verdict.APPLY: Outcome.APPLIED,
    Verdict.APPLY_AND_REFRESH: Outcome.APPLIED,
    Verdict.NOTE: Outcome.NOTED,
    Verdict.STALE: Outcome.STALE,
    Verdict.REFRESH: Outcome.REFRESHED,
}
