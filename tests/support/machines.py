"""How many examples and steps a state machine draws."""

import os

from hypothesis import HealthCheck, Phase, settings

EXAMPLES, STEPS = "STATEFUL_EXAMPLES", "STATEFUL_STEPS"


def drawn(*, examples: int, steps: int) -> settings:
    """Return the settings of a machine. The environment may ask for other numbers, and then draws are random."""
    return settings(
        max_examples=int(os.environ.get(EXAMPLES, examples)),
        stateful_step_count=int(os.environ.get(STEPS, steps)),
        derandomize=EXAMPLES not in os.environ,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # No shrinking, because it would take an hour.
        phases=[Phase.explicit, Phase.generate],
        database=None,
    )
