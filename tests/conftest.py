"""What all tests have: the possums' configuration in the place of `include/config.py`, and services on request.

No test needs or touches what `make run` has started.
"""

from __future__ import annotations

import os
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from harness import NEED_THE_STACK, ROOT, STACK_IS_INSTALLED
from harness.airflow_settings import HOME, remove_own_airflow
from harness.possum_project import POSSUM_PROJECT

sys.path.insert(0, str(POSSUM_PROJECT))  # before anything imports include
collect_ignore = [] if STACK_IS_INSTALLED else list(NEED_THE_STACK)


def pytest_configure(config) -> None:
    """A warning that something is going away, at a line of include/ or of a DAG file, is an error in every test."""
    for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
        config.addinivalue_line("filterwarnings", rf"error::{kind}:(include\.|unusual_prefix_)")
    # The MLflow provider's, at the line that imports it.
    config.addinivalue_line(
        "filterwarnings", r"ignore:This decorator is deprecated:DeprecationWarning:include\.operators"
    )


def pytest_sessionfinish() -> None:
    remove_own_airflow()


@pytest.fixture(scope="session")
def load_project_config():
    """Loads `include/config.py` as the project has it, for the few tests that are about it."""

    def load():
        spec = spec_from_file_location("project_config", ROOT / "include" / "config.py")
        config = module_from_spec(spec)
        spec.loader.exec_module(config)
        return config

    return load


@pytest.fixture(scope="session")
def project_config(load_project_config):
    return load_project_config()


@pytest.fixture(scope="session")
def readme():
    """The text of README.md below a heading, up to the next one."""
    text = (ROOT / "README.md").read_text()
    return lambda heading: text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="session")
def readme_python(readme):
    """The block of Python below a heading of README.md."""

    def block(heading: str) -> str:
        blocks = re.findall(r"^```python\n(.*?)^```$", readme(heading), re.DOTALL | re.MULTILINE)
        assert len(blocks) == 1, f"README.md needs one block of Python under '## {heading}'"
        return blocks[0]

    return block


@pytest.fixture(scope="session")
def stack():
    """PostgreSQL, S3 and MLflow, up and ready, and the Airflow of this process connected to them."""
    from airflow import settings
    from harness.stacks import PossumStack

    stack = PossumStack(HOME)
    with pytest.MonkeyPatch.context() as patch:
        try:
            stack.start("postgres", "s3", "mlflow")
            stack.prepare_airflow()
            for name, value in stack.environment().items():
                patch.setenv(name, value)
            settings.configure_vars()  # Airflow was imported before there was a database
            settings.configure_orm()
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="session")
def parse(stack):
    """Reads the DAGs from their files, for runs that must not change those of other runs."""
    from airflow.models import DagBag

    def parse() -> DagBag:
        bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"], include_examples=False)
        assert bag.import_errors == {}
        return bag

    parse().sync_to_db()
    return parse


@pytest.fixture(scope="session")
def dags(parse):
    return parse().dags


@pytest.fixture(scope="session")
def run_dag(parse):
    """Runs a DAG, named or made from one of ours, to its end and returns the run.

    In one process the conf of a run stays in the DAG's params: it is taken out again.
    """

    def run(dag, state: str = "success", **arguments):
        dag = parse().dags[dag] if isinstance(dag, str) else dag
        params = [params.get_param(name) for params in (dag.params, *(t.params for t in dag.tasks)) for name in params]
        values = [param.value for param in params]
        dag_run = dag.test(**arguments)
        for param, value in zip(params, values, strict=True):
            param.value = value
        assert dag_run.state == state
        return dag_run

    return run
