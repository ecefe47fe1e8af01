"""What the scheduler imports before it forks its tasks, each time in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCHEDULER = """
import logging, sys, warnings
from airflow.executors.local_executor import LocalExecutor
from airflow.jobs.job import Job
from airflow.plugins_manager import ensure_plugins_loaded
ensure_plugins_loaded()
import scheduler_preload
scheduler = Job(executor=LocalExecutor())
scheduler.job_type = "SchedulerJob"
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Runs a program that has Airflow's plugins and a scheduler's job, as the scheduler has them."""
    command = [sys.executable, "-c", SCHEDULER + program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)


def test_the_scheduler_imports_the_big_packages_and_none_of_the_projects_configuration():
    done = run("""
scheduler_preload.on_starting(scheduler)
print(*(name in sys.modules for name in ("mlflow.sklearn", "sklearn.ensemble", "scipy.stats", "astro.sql")))
print([name for name in sys.modules if name.startswith(("include.", "unusual_prefix_"))])
""")

    imported, own = done.stdout.splitlines()[-2:]
    assert imported == "True True True True", done.stderr
    assert own == "['include.operators', 'include.operators.links']"  # the buttons, which are a plugin


def test_other_dags_find_everything_as_it_was():
    done = run("""
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
import botocore.session
names = ("airflow.hooks.base", "airflow.providers.amazon.aws.utils.connection_wrapper", "smart_open")
def state():
    levels = [logging.getLogger(name).level for name in names]
    return S3Hook._get_caller, botocore.session.create_loader, levels
before = state()
scheduler_preload.on_starting(scheduler)
assert state() == before
assert not [each for each in warnings.filters if "XCom backend" in str(each)]
print("as it was")
""")

    assert done.stdout.splitlines()[-1] == "as it was"


def test_nothing_is_imported_for_a_task_or_another_executor():
    done = run("""
from airflow.executors.sequential_executor import SequentialExecutor
task = Job(executor=LocalExecutor())
task.job_type = "LocalTaskJob"
other = Job(executor=SequentialExecutor())
other.job_type = "SchedulerJob"
for component in (task, other, object()):
    scheduler_preload.on_starting(component)
print("scipy.stats" in sys.modules)
""")

    assert done.stdout.splitlines()[-1] == "False"


def test_a_package_that_ends_the_process_is_tried_once_and_does_not_stop_the_scheduler(tmp_path):
    (tmp_path / "ends_it_all.py").write_text("print('trying')\nraise SystemExit(1)\n")

    done = run(f"""
sys.path.insert(0, {str(tmp_path)!r})
scheduler_preload.PACKAGES = ("ends_it_all",)
scheduler_preload.on_starting(scheduler)
scheduler_preload.on_starting(scheduler)
print("goes on")
""")

    assert done.stdout.count("trying") == 1
    assert done.stdout.splitlines()[-1] == "goes on"
    assert "Can't import packages ahead of time" in done.stdout + done.stderr
