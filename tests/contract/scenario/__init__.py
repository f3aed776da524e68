"""What happens in an account, told in stories that together call every route of the sandbox at least once.

One module a resource; each public function that takes a ``Stage`` is a story and plays in a sandbox of its own. Who
adds a route adds its story here: nothing else has to be listed anywhere, and what the stories get answered, or what
events tell of them, is compared with the SDK's classes.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

from tests.contract.stage import Stage

Story = Callable[[Stage], None]


def stories() -> Iterator[tuple[str, Story]]:
    """Every story with its name, ``customers.lives_and_dies``."""
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and not name.startswith("_"):
                yield f"{info.name}.{name}", function
