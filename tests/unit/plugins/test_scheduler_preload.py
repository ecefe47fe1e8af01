"""What the scheduler imports before it forks its tasks, each time in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from harness import ROOT

SCHEDULER = """
import logging, sys, warnings
from airflow.jobs.job import Job
from airflow.models import import_all_models
from airflow.listeners.listener import get_listener_manager
from airflow.plugins_manager import ensure_plugins_loaded
import_all_models()
ensure_plugins_loaded()
get_listener_manager()
import scheduler_preload
"""


def run(program: str, command: str = "scheduler", executor: str = "LocalExecutor") -> subprocess.CompletedProcess[str]:
    """Run a program that has Airflow's plugins and the command line of `airflow scheduler`."""
    words = [sys.executable, "-c", SCHEDULER + program, command]
    environment = os.environ | {
        "AIRFLOW__CORE__EXECUTOR": executor,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://nobody@127.0.0.1/nothing",  # never connected to
        "AIRFLOW__AWS__SESSION_FACTORY": "include.orchestration.aws_session.SharedLoaderSessionFactory",
    }
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def scheduler() -> dict:
    """What a scheduler finds around the job that it creates, in one process: imports and state of the packages."""
    program = """
import json
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
import botocore.session
names = ("airflow.hooks.base", "airflow.providers.amazon.aws.utils.connection_wrapper", "smart_open")
def state():
    levels = [logging.getLogger(name).level for name in names]
    return [repr(S3Hook._get_caller), repr(botocore.session.create_loader), levels]
found = {"before": state()}
Job()  # as the scheduler creates it
found |= {"after": state(), "filters": [str(each) for each in warnings.filters], "modules": list(sys.modules)}
from botocore.loaders import JSONFileLoader
del JSONFileLoader.load_file
found["client"] = S3Hook("aws_conn").get_conn().meta.service_model.service_name
print(json.dumps(found))
"""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_AWS_CONN", '{"conn_type": "aws", "login": "me", "password": "secret"}')
        return json.loads(run(program).stdout.splitlines()[-1])


def test_the_scheduler_imports_the_big_packages_and_none_of_the_projects_configuration(scheduler):
    modules = scheduler["modules"]

    assert {"mlflow.sklearn", "sklearn.ensemble", "scipy.stats", "astro.sql"} <= set(modules)
    assert sorted(name for name in modules if name.startswith(("include.", "unusual_prefix_"))) == [
        "include.operators",
        "include.operators.links",  # the buttons, which are a plugin
        "include.orchestration",
        "include.orchestration.aws_session",  # which a setting names
    ]


def test_a_client_of_s3_in_a_task_reads_none_of_botocores_files(scheduler):
    assert scheduler["client"] == "s3"


def test_other_dags_find_everything_as_it_was(scheduler):
    assert scheduler["after"] == scheduler["before"]
    assert not [each for each in scheduler["filters"] if "XCom backend" in each]


@pytest.mark.parametrize(
    ("command", "executor"),
    [("tasks", "LocalExecutor"), ("triggerer", "LocalExecutor"), ("scheduler", "SequentialExecutor")],
)
def test_nothing_is_imported_for_another_command_or_executor(command, executor):
    done = run('Job()\nprint("scipy.stats" in sys.modules)', command, executor)

    assert done.stdout.splitlines()[-1] == "False"


def test_a_package_that_ends_the_process_is_tried_once_and_does_not_stop_the_scheduler(tmp_path):
    (tmp_path / "ends_it_all.py").write_text("print('trying')\nraise SystemExit(1)\n")

    done = run(f"""
sys.path.insert(0, {str(tmp_path)!r})
scheduler_preload.PACKAGES = ("ends_it_all",)
Job()
Job()
print("goes on")
""")

    assert done.stdout.count("trying") == 1
    assert done.stdout.splitlines()[-1] == "goes on"
    assert "Can't import packages ahead of time" in done.stdout + done.stderr
