"""`make install` works where an earlier run was interrupted."""

import shutil
import subprocess
from pathlib import Path

from tests.support.documents import ROOT

MAKE = shutil.which("make") or "make"
BROKEN = "#!/bin/sh\nexit 1\n"
# It stands in for Python. It creates an environment whose Python succeeds, and notes how it was called.
FAKE = """#!/bin/sh
echo "$@" >> calls
if [ "$2" = venv ]; then mkdir -p .venv/bin; printf '#!/bin/sh\\n' > .venv/bin/python; chmod +x .venv/bin/python; fi
"""


def test_half_made_environment_is_made_again_in_a_folder_with_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "a folder with spaces"
    (folder / ".venv/bin").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for name, text in ((".venv/bin/python", BROKEN), ("fake", FAKE)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    command = [MAKE, "install", "PYTHON=./fake"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "-m venv --clear .venv" in (folder / "calls").read_text()
    assert (folder / ".venv/installed").exists()
