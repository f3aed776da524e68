"""The report of a run of both walks, for people and for programs."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.json_types import Json
from gateway.services.reconciliation import drift
from gateway.services.reconciliation.differences import Cause, Difference, Resolution, to_json_value
from gateway.services.reconciliation.progress import Progress

RESOLUTION_TEXTS = {
    Resolution.HEALED: "healed",
    Resolution.LEFT: "left alone, because an update is in flight",
    Resolution.WOULD_HEAL: "would be healed",
    Resolution.NOT_HEALED: "NOT healed, please investigate",
}


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a run has found. ``differences`` belongs to this process, the counts to the whole run."""

    dry_run: bool
    gap: Progress
    drift: Progress
    differences: list[Difference]

    @property
    def in_order(self) -> bool:
        """Return whether the run left nothing for a person to investigate."""
        return not self.drift.counts[Resolution.NOT_HEALED] and not self.gap.counts["unreadable"]

    def to_json(self) -> Json:
        """Return the report for programs, with times in ISO 8601."""
        return {
            "dry_run": self.dry_run,
            "in_order": self.in_order,
            "gap": {"since": to_json_value(self.gap.since), "until": to_json_value(self.gap.until), **self.gap.counts},
            "drift": {"until": to_json_value(self.drift.until), **self.drift.counts},
            "differences": [each.to_json() for each in self.differences],
        }

    def in_words(self) -> Iterator[str]:
        """Yield the lines of the report for people."""
        since = f"since {self.gap.since:%Y-%m-%d %H:%M:%S} UTC" if self.gap.since else "as far as Stripe remembers"
        put = "would be put" if self.dry_run else "put"
        yield f"Events, {since}: {self.gap.counts['events']} listed, {self.gap.counts['missing']} {put} into the inbox."
        if self.gap.counts["unreadable"]:
            yield f"  {self.gap.counts['unreadable']} could not be read. See the log."
        looked_at = ", ".join(f"{self.drift.counts[phase]} {phase.replace('_', ' ')}" for phase in drift.PHASE_ORDER)
        yield f"Compared: {looked_at}."
        for each in self.differences:
            yield from describe(each)
        classes = ", ".join(f"{self.drift.counts[cause]} {cause}" for cause in Cause if self.drift.counts[cause])
        yield f"Differences: {classes or 'none'}."
        for resolution, text in RESOLUTION_TEXTS.items():
            if self.drift.counts[resolution]:
                yield f"  {self.drift.counts[resolution]} {text}"
        yield "In order." if self.in_order else "NOT in order."


def describe(difference: Difference) -> Iterator[str]:
    """Yield lines for people: the object, its cause, its resolution and each field."""
    what = f"{difference.organization_id}  {difference.kind} {difference.stripe_id}"
    yield f"  {what}  {difference.cause}: {RESOLUTION_TEXTS[difference.resolution]}"
    for name, (ours, its) in difference.fields.items():
        yield f"      {name}: {to_json_value(ours)!r} here, {to_json_value(its)!r} at Stripe"


def format_counts(counts: Counter[str]) -> str:
    """Format the counts in one line."""
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "none"
