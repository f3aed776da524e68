"""`make install` works where an earlier run was interrupted."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.documents import ROOT

MAKE = shutil.which("make") or "make"
NOBODY = 65534
WHERE = "You may not write to this folder. Clone the project into a folder of yours."
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


@pytest.fixture
def folder() -> Iterator[Path]:
    """Create the folder of a project whose user is not root. pytest's own folders are closed to others."""
    with TemporaryDirectory(prefix="gateway-tests-") as name:
        path = Path(name)
        for file in ("Makefile", "pyproject.toml", "requirements.lock"):
            shutil.copy(ROOT / file, path)
        (path / "fake").write_text(FAKE)
        for each in (path, path / "fake"):
            each.chmod(0o755)
        yield path


def install_as_another_user(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``make install``. Root may write everywhere, so another user does it for root."""
    user = NOBODY if os.geteuid() == 0 else None
    command = [MAKE, "install", "PYTHON=./fake"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, user=user)


def test_what_root_has_left_does_not_hinder_another_user(folder: Path) -> None:
    if os.geteuid() == 0:
        os.chown(folder, NOBODY, -1)
    for name in (".venv/bin", ".ruff_cache", ".demo"):
        (folder / name).mkdir(parents=True)
    (folder / ".venv/installed").touch()
    for name in (".venv", ".ruff_cache", ".demo"):
        (folder / name).chmod(0o555)
    done = install_as_another_user(folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Remove it with: sudo rm -r .") == 3
    assert (folder / ".venv/installed").exists()
    assert "Renamed" not in install_as_another_user(folder).stdout


def test_folder_of_another_user_is_explained(folder: Path) -> None:
    folder.chmod(0o555)
    done = install_as_another_user(folder)
    assert (done.returncode, done.stderr.splitlines()[0]) == (2, WHERE)


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
