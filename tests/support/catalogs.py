"""Catalogues for tests."""

from pathlib import Path

from gateway.catalog import Catalog

PLAIN = Path(__file__).with_name("plain.toml")
FIVE_PLANS = Path(__file__).with_name("five_plans.toml")
STORY = Path(__file__).with_name("story.toml")
PLAIN_CATALOG = Catalog.load(PLAIN)


def write_catalog(
    path: Path, *, charge: str = "on_billing_date", before_payment: int = 100_000_000, trial_days: int = 0
) -> Path:
    """Write the plain catalogue to ``path``, whose Plus may be used for a large amount before a payment."""
    changed = PLAIN.read_text(encoding="utf-8").replace('key = "plus"', f'key = "plus"\ncharge = "{charge}"')
    changed = changed.replace("before_payment = 250000,", f"before_payment = {before_payment},")
    changed = changed.replace("after_payment = 2500000 ", "after_payment = 100000000 ")
    if trial_days:
        changed = changed.replace("max_quantity = 100", f"max_quantity = 100\ntrial = {{ days = {trial_days} }}")
    path.write_text(changed, encoding="utf-8")
    return path
