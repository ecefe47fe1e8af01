"""All tests see an Airflow of their own: its home is a temporary folder, its services (started only by the tests that
need them) have free ports. Neither needs nor touches what `make run` has started.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

try:
    from include.local_stack.stack import Stack, free_ports
except ImportError:  # in the image, which has an Airflow of its own and no include/local_stack
    STACK = None
else:
    home = Path(tempfile.mkdtemp(prefix="pipeline tests "))
    STACK = Stack(home, ports=free_ports())
    STACK.settle()
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "AWS_", "MLFLOW_"))]:
        del os.environ[name]
    os.environ.update(STACK.environment())  # before anything imports airflow


def pytest_configure(config) -> None:
    """A warning that something is going away, at a line of include/ or of a DAG file, is an error in every test."""
    for kind in ("DeprecationWarning", "PendingDeprecationWarning", "FutureWarning"):
        config.addinivalue_line("filterwarnings", rf"error::{kind}:(include\.|unusual_prefix_)")
    # The MLflow provider's, at the line that imports it.
    config.addinivalue_line(
        "filterwarnings", r"ignore:This decorator is deprecated:DeprecationWarning:include\.operators"
    )


def pytest_sessionfinish() -> None:
    if STACK:
        shutil.rmtree(STACK.home, ignore_errors=True)


@pytest.fixture(scope="session")
def readme():
    """What stands in README.md below a heading, up to the next one."""
    text = (ROOT / "README.md").read_text()
    return lambda heading: text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="session")
def readme_python(readme):
    """The block of Python that stands there."""

    def block(heading: str) -> str:
        blocks = re.findall(r"^```python\n(.*?)^```$", readme(heading), re.DOTALL | re.MULTILINE)
        assert len(blocks) == 1, f"README.md needs one block of Python under '## {heading}'"
        return blocks[0]

    return block


@pytest.fixture(scope="session")
def stack():
    """PostgreSQL, S3 and MLflow, up and ready for Airflow."""
    if STACK is None:
        pytest.skip("needs PostgreSQL, S3 and MLflow, which only the stack without Docker installs")
    try:
        STACK.start("postgres", "s3", "mlflow")
        STACK.prepare_airflow()
        yield STACK
    finally:
        STACK.stop()


@pytest.fixture(scope="session")
def parse(stack):
    """Reads the DAGs from their files, for runs that shall not change those of other runs."""
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
