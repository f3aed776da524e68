"""`make install` works where an earlier run was interrupted."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.documents import ROOT

MAKE = shutil.which("make") or "make"
BROKEN = "#!/bin/sh\nexit 1\n"
# It stands in for Python. It creates an environment whose Python succeeds, and notes how it was called.
FAKE = """#!/bin/sh
echo "$@" >> calls
if [ "$2" = venv ]; then mkdir -p .venv/bin; printf '#!/bin/sh\\n' > .venv/bin/python; chmod +x .venv/bin/python; fi
"""


def test_old_python_is_refused_with_a_sentence(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, tmp_path)
    pretend = "import sys; sys.version_info = (3, 10, 0); exec(sys.argv[1])"
    old = f"""#!/bin/sh\nexec '{sys.executable}' -c '{pretend}' "$2"\n"""
    (tmp_path / "old").write_text(old)
    (tmp_path / "old").chmod(0o755)
    command = [MAKE, "install", "PYTHON=./old"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed: make PYTHON=python3.12" in done.stderr


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
