"""The shipped catalogue with other figures."""

from importlib.resources import files
from pathlib import Path


def write_catalog(path: Path, *, charge: str = "on_billing_date", before_payment: int = 100_000_000) -> Path:
    """Write a catalogue to ``path``, whose Plus may be used for a large amount before a payment."""
    shipped = files("gateway").joinpath("catalog.toml").read_text(encoding="utf-8")
    changed = shipped.replace('key = "plus"', f'key = "plus"\ncharge = "{charge}"')
    changed = changed.replace("before_payment = 250000,", f"before_payment = {before_payment},")
    changed = changed.replace("after_payment = 2500000 ", "after_payment = 100000000 ")
    path.write_text(changed, encoding="utf-8")
    return path
