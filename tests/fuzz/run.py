"""``python -m tests.fuzz.run TARGET CORPUS [libFuzzer's options]``: fuzz one target until the options say stop.

On the database of GATEWAY_DATABASE_URL, which it empties. CORPUS is a directory to which recorded events are added.
libFuzzer ends the process: with status 0 if nothing was found, else with a traceback and a file that holds the input.
"""

import atexit
import os
import random
import sys
from pathlib import Path

import atheris

# What decides on a delivery; all else runs at full speed. Instrumented is what is imported here, so this comes first.
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

from tests.fuzz.mutations import PAYLOADS  # noqa: E402 - after what is instrumented

MAX_LENGTH = 8_192
DECISIONS = 300
"""So many seeds of pure decisions, for the structured way."""


def write_seeds(corpus: Path) -> None:
    """Recorded events, for the targets' raw way, which the last byte chooses; and bytes that decide on mutations."""
    corpus.mkdir(parents=True, exist_ok=True)
    for path in PAYLOADS.glob("*.json"):
        (corpus / path.stem).write_bytes(path.read_bytes() + b"\0")
    for number in range(DECISIONS):
        (corpus / f"decisions_{number}").write_bytes(random.Random(number).randbytes(100))  # noqa: S311 - no secret


def main() -> None:
    """Fuzz."""
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
