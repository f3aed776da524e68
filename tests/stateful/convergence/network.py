"""The rules for deliveries: events arrive in any order, repeatedly, late or never."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.stateful.convergence import deliveries
from tests.stateful.convergence.returns import Returns
from tests.support.json_types import Json

PICKS = st.lists(st.integers(0, 40), max_size=6)
"""Successive indexes into the events on their way, modulo their number."""
FORMS = ["as it is"] * 6 + ["older version", "older shape"]
EXTRAS = ["none"] * 4 + ["again", "twin", "live"]


class Network(Returns):
    """Events on their way to the gateway."""

    loses = False
    """Whether deliveries may be lost permanently."""

    def __init__(self) -> None:
        super().__init__()
        self.on_its_way: list[Json] = []
        self.misread: set[str] = set()
        """Subscriptions whose upcoming invoice arrived in an unreadable shape."""
        self.copies = 0

    def listen(self) -> None:
        """Put Stripe's new events on their way."""
        self.on_its_way += self.stage.hear()

    def deliver_some(self, picks: list[int], form: str = "as it is", extra: str = "none") -> None:
        self.listen()
        for pick in picks:
            self.deliver_next(pick, form, extra)

    def deliver_next(self, pick: int, form: str, extra: str) -> None:
        if self.on_its_way:
            self.deliver_one(self.on_its_way.pop(pick % len(self.on_its_way)), form, extra)

    def deliver_one(self, event: Json, form: str, extra: str) -> None:
        self.copies += 1
        sent = event
        if form != "as it is" and event["type"] != "invoice.deleted":  # Stripe cannot return a deleted invoice
            if event["type"] == "invoice.upcoming":
                self.misread.add(event["data"]["object"]["parent"]["subscription_details"]["subscription"])
            sent = deliveries.of_an_older_version(event) if form == "older version" else deliveries.before_basil(event)
        self.stage.deliver(sent)
        if extra == "again":
            self.stage.deliver(event)
        elif extra == "twin":
            self.on_its_way.append(deliveries.twin(event, self.copies))
        elif extra == "live":
            self.stage.deliver(deliveries.of_live_mode(event, self.copies))

    @rule(picks=PICKS, form=st.sampled_from(FORMS), extra=st.sampled_from(EXTRAS), drains=st.booleans())
    def deliver(self, picks: list[int], form: str, extra: str, *, drains: bool) -> None:
        self.deliver_some(picks, form, extra)
        if drains:
            self.stage.drain()

    @rule(newest=st.integers(1, 8), one_by_one=st.booleans())
    def deliver_the_newest_first(self, newest: int, *, one_by_one: bool) -> None:
        self.listen()
        for _ in range(min(newest, len(self.on_its_way))):
            self.deliver_one(self.on_its_way.pop(), "as it is", "none")
            if one_by_one:
                self.stage.drain()

    @rule(one_by_one=st.booleans())
    def deliver_all_in_turn(self, *, one_by_one: bool) -> None:
        self.listen()
        while self.on_its_way:
            self.deliver_one(self.on_its_way.pop(0), "as it is", "none")
            if one_by_one:
                self.stage.drain()
        self.stage.drain()

    @rule(picks=PICKS)
    def deliver_once_more(self, picks: list[int]) -> None:
        """Deliver events again that arrived long ago."""
        known = [each for each in self.stage.events if each["id"] in self.stage.delivered]
        for pick in picks if known else []:
            self.deliver_one(known[pick % len(known)], "as it is", "twin" if pick % 2 else "none")

    @precondition(lambda self: self.loses)
    @rule(picks=PICKS, all_of_it=st.booleans())
    def lose(self, picks: list[int], *, all_of_it: bool) -> None:
        self.listen()
        if all_of_it:
            self.on_its_way = [each for each in self.on_its_way if not self.can_be_lost(each)]
        for pick in picks:
            if self.on_its_way and self.can_be_lost(self.on_its_way[pick % len(self.on_its_way)]):
                self.on_its_way.pop(pick % len(self.on_its_way))

    def can_be_lost(self, event: Json) -> bool:  # noqa: ARG002 - subclasses override it
        return True
