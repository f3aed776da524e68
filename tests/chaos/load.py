"""The load during the faults: changes at Stripe, which become signed events, and plan changes of users."""

import itertools
import random
import threading
from collections import Counter
from contextlib import suppress
from typing import Self

import requests
from stripe import StripeError

from tests.support.deployment import Deployment

EVENTS_PER_SECOND = 45  # plan changes add some more
PAUSE = 0.5  # seconds between two plan changes of a user
RENAMERS, USERS = 3, 2


class Load:
    """Renames customers at Stripe and changes plans through the interface, until it is stopped."""

    def __init__(self, stage: Deployment, customers: dict[str, str]) -> None:
        """Start nothing yet. ``customers`` maps organizations to their customers."""
        self._stage = stage
        self._customers = customers
        self._stop = threading.Event()
        self._numbers = itertools.count()
        self.answers: Counter[int] = Counter()
        """The number of answers to plan changes by status. 0 stands for no answer."""
        organizations = sorted(customers)
        self._threads = [
            *(threading.Thread(target=self._rename) for _ in range(RENAMERS)),
            *(threading.Thread(target=self._change, args=(organizations[each::USERS],)) for each in range(USERS)),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _rename(self) -> None:
        while not self._stop.wait(RENAMERS / EVENTS_PER_SECOND):
            number = next(self._numbers)
            customer = list(self._customers.values())[number % len(self._customers)]
            with suppress(StripeError):  # Stripe's limits
                self._stage.stripe.v1.customers.update(customer, {"name": f"Name {number}"})

    def _change(self, organizations: list[str]) -> None:
        rng = random.Random(organizations[0])  # noqa: S311 - no secret
        while not self._stop.wait(PAUSE):
            name, quantity = rng.choice(organizations), rng.randint(1, 9)
            try:
                answer = self._stage.api(name, "PATCH", "/subscription", timeout=90, plan="plus", quantity=quantity)
                self.answers[answer.status_code] += 1
            except requests.RequestException:
                self.answers[0] += 1
