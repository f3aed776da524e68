"""Stories of an account that together call every route of the sandbox at least once.

There is one module per resource. Each public function is a story, takes a ``ScenarioAccount`` and plays in its own
sandbox. A new route needs a story here and no other registration. The contract tests compare the stories' responses and
events with the SDK's classes.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

from tests.contract.stage import ScenarioAccount

Story = Callable[[ScenarioAccount], None]


def stories() -> Iterator[tuple[str, Story]]:
    """Yield every story with its name, such as ``customers.a_balance_is_adjusted``."""
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{info.name}.{name}", function
