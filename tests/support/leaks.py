"""Finds secrets, e-mail addresses and card data in what was logged."""

import logging
import re

from gateway.logging import build_formatter

LEAKS = re.compile(
    r"""
      \b[sr]k_(?:test|live)_\w{4,} | \bwhsec_\w{4,}   # keys of Stripe, and signing secrets
    | \w(?<!client)_secret_\w+                        # client secrets, but not a column's alias in a statement
    | \beyJ[\w-]+\.[\w-]+\.[\w-]+                     # tokens
    | \bv1=[0-9a-f]{64}                               # signatures of webhooks
    | \b(?!support@stripe\.com)[\w.+-]+@[\w-]+\.[a-z]{2,}\b  # e-mail addresses, but not that of the SDK's errors
    | (?:\u2022|\\u2022)+\s?\d{4} | (?<![\w.])4[0-9]{15}\b  # the label and the number of a card, but not a fraction
    """,
    re.VERBOSE,
)


def find_leaks(text: str) -> list[str]:
    """Return each secret, address and card in ``text``."""
    return LEAKS.findall(text)


class LeakDetector(logging.Handler):
    """Keeps what the records of one test leak, as the gateway writes them."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(build_formatter())
        self.leaks: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record."""
        self.leaks += find_leaks(self.format(record))
