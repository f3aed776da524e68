"""Fuzzes one target until libFuzzer's options end it: ``python -m tests.fuzz.run TARGET CORPUS [libFuzzer's options]``.

The run empties the database of GATEWAY_DATABASE_URL. It adds recorded events to the directory CORPUS. libFuzzer ends
the process with status 0 if it found nothing. Otherwise it prints a traceback and writes the input to a file.
"""

import atexit
import os
import random
import sys
from pathlib import Path

import atheris

# The modules that process a delivery. Others run at full speed. An import before this one would escape instrumentation.
INSTRUMENTED = [
    "gateway.endpoints.webhooks",
    "gateway.services.webhooks.drain",
    "gateway.services.webhooks.inbox",
    "gateway.stripe_api",
    "handlers",
    "schemas",
    "stripe._webhook",
]
with atheris.instrument_imports(include=INSTRUMENTED):
    from tests.fuzz.targets import TARGETS, FuzzedGateway

from tests.fuzz.mutations import PAYLOADS  # noqa: E402 - must follow the instrumented imports

MAX_LENGTH = 8_192
DECISIONS = 300
"""The number of random seeds, which decide on mutations."""


def write_seeds(corpus: Path) -> None:
    """Write recorded events as raw bodies, which their last byte selects, and random bytes that decide on mutations."""
    corpus.mkdir(parents=True, exist_ok=True)
    for path in PAYLOADS.glob("*.json"):
        (corpus / path.stem).write_bytes(path.read_bytes() + b"\0")
    for number in range(DECISIONS):
        (corpus / f"decisions_{number}").write_bytes(random.Random(number).randbytes(100))  # noqa: S311 - not a secret


def main() -> None:
    """Fuzz the target."""
    target, corpus, *options = sys.argv[1:]
    write_seeds(Path(corpus))
    stage = FuzzedGateway(os.environ["GATEWAY_DATABASE_URL"])
    atexit.register(lambda: print(f"{target}: {dict(stage.outcomes)}"))  # noqa: T201 - the run's report
    atheris.Setup(
        [target, f"-max_len={MAX_LENGTH}", "-len_control=0", *options, corpus],
        lambda data: TARGETS[target](stage, atheris.FuzzedDataProvider(data)),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
