"""What the last run of ``gateway probe`` found."""

from gateway.db.checks import load_result
from gateway.db.models import Check
from gateway.services.operations.findings import Finding
from gateway.services.runtime import Gateway

UPGRADE, DOWNGRADE = "probe_upgrade", "probe_downgrade"  # the names of the checks


def load_last_run(gateway: Gateway) -> list[Check]:
    """Return the stored results, none if the probe never ran. Raise DatabaseUnavailable."""
    found = (load_result(gateway.database, name) for name in (UPGRADE, DOWNGRADE))
    return [each for each in found if each is not None]


def check_probe(gateway: Gateway) -> Finding:
    """Check that the last run of the probe was merged from webhooks."""
    run = load_last_run(gateway)
    if not run:
        return Finding(ok=True, text="probe: never ran. `gateway probe` measures a plan change with a test key.")
    problems = [each for each in run if each.problem is not None]
    text = "; ".join(describe(each) for each in problems or run)
    if problems:
        text += ". See the findings on the endpoint, signatures and workers, then run `gateway probe` again."
    return Finding(ok=not problems, text=f"probe: {text}")


def describe(result: Check) -> str:
    """Return what one step of the probe found, and when."""
    found = result.problem or f"merged from webhooks alone after {result.seconds or 0:.1f} seconds"
    return f"{result.name.removeprefix('probe_')} {found} ({result.checked_at:%Y-%m-%d %H:%M} UTC)"
