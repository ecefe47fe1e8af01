"""Virtual environments for predicting, built once for each set of requirements and used again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from uv import find_uv_bin

log = logging.getLogger(__name__)
KEEP = 3  # environments, the most recently used
NAME = "[0-9a-f]" * 16
UNFINISHED = "unfinished-"
SIZES = "sizes.json"


def folder() -> Path:
    """Where the environments are: PREDICTION_ENVIRONMENTS, or in the user's cache."""
    return Path(os.environ.get("PREDICTION_ENVIRONMENTS") or Path.home() / ".cache" / "prediction-environments")


@contextlib.contextmanager
def prediction_environment(requirements: str, rebuild: bool = False) -> Iterator[Path]:
    """The Python of an environment that holds `requirements` (the lines of a requirements.txt).

    It is found again by its requirements and the version of Python. Whoever comes while another task builds it waits,
    and nobody removes it while the block runs. `rebuild` makes it anew, for one that has turned out broken.

    Raises RuntimeError with uv's own words if it can't be built; nothing half-built stays.
    """
    lines = sorted({line.strip() for line in requirements.splitlines() if line.strip()})
    wanted = "\n".join([platform.python_version(), platform.machine(), *lines])
    environment = folder() / hashlib.sha256(wanted.encode()).hexdigest()[:16]
    python = environment / "bin" / "python"
    environment.parent.mkdir(parents=True, exist_ok=True)
    with environment.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # the kernel gives it back, however this process ends
        if rebuild or not os.access(python, os.X_OK):
            fcntl.flock(lock, fcntl.LOCK_EX)
            if rebuild or not os.access(python, os.X_OK):  # nobody else has built it meanwhile
                shutil.rmtree(environment, ignore_errors=True)
                _build(environment, lines)
            fcntl.flock(lock, fcntl.LOCK_SH)
        os.utime(environment)
        yield python
    _remove_old(environment.parent)


def is_intact(python: Path) -> bool:
    """Whether every file of the environment is there in the size it was built with."""
    environment = python.parent.parent
    try:
        built = json.loads((environment / SIZES).read_text())
    except (OSError, ValueError):
        return False
    return built.items() <= _sizes(environment).items()


def _sizes(environment: Path) -> dict[str, int]:
    """The size of each file but the bytecode, which Python may write anew."""
    files = (path for path in environment.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path.relative_to(environment)): path.stat().st_size for path in files}


def _build(environment: Path, lines: list[str]) -> None:
    """Builds beside the final place and moves it there: what stands under the final name is complete."""
    log.info("Building an environment of %d packages in %s", len(lines), environment)
    unfinished = environment.with_name(UNFINISHED + environment.name)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(mode=0o700)
        (unfinished / "requirements.txt").write_text("\n".join(lines))
        uv = find_uv_bin()
        _run(uv, "venv", "-q", "--allow-existing", "--relocatable", "--python", sys.executable, unfinished)
        python, wanted = unfinished / "bin" / "python", unfinished / "requirements.txt"
        _run(uv, "pip", "install", "-q", "--python", python, "-r", wanted)
        (unfinished / SIZES).write_text(json.dumps(_sizes(unfinished)))
        unfinished.rename(environment)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The environment for predicting could not be built:\n{done.stderr.strip()}")


def _remove_old(parent: Path) -> None:
    """Keeps the `KEEP` most recently used environments and those in use. What killed tasks left goes, too."""
    with contextlib.suppress(FileNotFoundError):  # another task does the same at the moment
        by_use = sorted(parent.glob(NAME), key=lambda path: path.stat().st_mtime, reverse=True)
        for old in [*by_use[KEEP:], *parent.glob(UNFINISHED + NAME)]:
            name = old.name.removeprefix(UNFINISHED)
            with contextlib.suppress(BlockingIOError), (parent / f"{name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(old, ignore_errors=True)
                log.info("Removed %s, not used for long", old)
