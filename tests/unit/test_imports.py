"""A web process imports nothing large that it never uses, because each process would keep it in memory."""

import subprocess
import sys

UNUSED = (
    "procrastinate",  # only workers run jobs
    "stripe.params",  # types of parameters, which the SDK itself does not import
)


def test_web_imports_no_large_module_that_it_never_uses() -> None:
    script = "import sys, gateway.web_server.gunicorn_hooks; print(*sys.modules, sep='\\n')"
    imported = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "gateway.app" in imported.split()
    assert [each for each in imported.split() if each.startswith(UNUSED)] == []
