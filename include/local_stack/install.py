"""Installs the stack without Docker into the project: `.venv` (Airflow) and `.local/mlflow-server` (the MLflow server).

It runs before anything else is installed, so it imports only the standard library. A stamp marks what is installed
already, so that nothing asks the network for it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCKS = Path(__file__).resolve().parent / "locks"
AIRFLOW_ENVIRONMENT = ROOT / ".venv"
UV = AIRFLOW_ENVIRONMENT / "bin" / "uv"  # the last thing that is installed when the environment is created
MLFLOW_ENVIRONMENT = ROOT / ".local" / "mlflow-server"


def install(environment: Path, lock: Path) -> None:
    """Install what `lock` names into `environment`. Create the environment if it is missing or broken."""
    stamp = environment / f".{lock.stem}-installed"
    locked = hashlib.sha256(lock.read_bytes()).hexdigest()
    python = environment / "bin" / "python"
    if not (UV.exists() and suits(python)):
        shutil.rmtree(environment, ignore_errors=True)
    elif stamp.exists() and stamp.read_text() == locked:
        return
    started = time.monotonic()
    print(f"installing {lock.stem} into {environment.relative_to(ROOT)} ...", flush=True)
    if not python.exists():
        create(environment)
    command(UV, "pip", "install", "-q", "--python", python, "--require-hashes", "-r", lock)
    stamp.write_text(locked)
    print(f"installed in {time.monotonic() - started:.0f} s", flush=True)


def suits(python: Path) -> bool:
    """Return whether this interpreter starts, and is of the version that `make PYTHON=...` asks for.

    It does not start if the Python that it was created from is gone.
    """
    try:
        found = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
    except OSError:
        return False
    return found.returncode == 0 and ("PYTHON" not in os.environ or found.stdout.strip() == sys.version.strip())


def create(environment: Path) -> None:
    """Create an empty environment. The first one gets `uv`, which installs packages into both."""
    if environment != AIRFLOW_ENVIRONMENT:
        command(UV, "venv", "-q", "--python", sys.executable, environment)
        return
    if subprocess.run([sys.executable, "-m", "venv", environment]).returncode:
        shutil.rmtree(environment, ignore_errors=True)
        sys.exit("This Python cannot create virtual environments. On Debian and Ubuntu: apt install python3-venv")
    pinned_uv = re.findall(r"^uv==.*?(?=^\S)", (LOCKS / "airflow.txt").read_text(), re.DOTALL | re.MULTILINE)
    requirements = environment / "uv.txt"
    requirements.write_text("".join(pinned_uv))
    pip = (environment / "bin" / "python", "-m", "pip", "install", "--no-user", "-q")  # whatever PIP_USER says
    command(*pip, "--require-hashes", "-r", requirements)


def command(*words: str | Path) -> None:
    """Run a command, and end the program if it fails."""
    if status := subprocess.run(words).returncode:
        sys.exit(f"Installing failed (status {status}), see the error above. Is the package index reachable?")


if __name__ == "__main__":
    if sys.version_info[:2] not in ((3, 11), (3, 12)):
        sys.exit(f"This is Python {sys.version.split()[0]}; the project needs 3.11 or 3.12.")
    (ROOT / ".local").mkdir(exist_ok=True)
    try:
        install(AIRFLOW_ENVIRONMENT, LOCKS / "airflow.txt")
        install(MLFLOW_ENVIRONMENT, LOCKS / "mlflow.txt")
        for extra in sys.argv[1:]:
            install(AIRFLOW_ENVIRONMENT, LOCKS / f"{extra}.txt")
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command installs what is missing.")
