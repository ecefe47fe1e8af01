""".env_example means the same to all who read it, in containers and without."""

from __future__ import annotations

import io
import json
import re

import pytest
from airflow.models import Connection
from harness import ROOT
from readers import line_by_line

TEXT = (ROOT / ".env_example").read_text()
VARIABLES = line_by_line(TEXT)
NEEDED, LAPTOP = map(line_by_line, re.split(r"^# =+ Part 2.*$", TEXT, flags=re.MULTILINE))
CONNECTIONS = {name for name in VARIABLES if name.startswith("AIRFLOW_CONN_")}


def as_airflow_has_it(value: str) -> dict:
    """A connection as Airflow's own parser reads a variable."""
    connection = Connection.from_json(value)
    return {name: getattr(connection, name) for name in ("conn_type", "host", "port", "login", "password")} | {
        "extra": connection.extra_dejson
    }


def test_compose_reads_it_the_same(services):
    for name in ("scheduler", "webserver", "triggerer"):
        assert VARIABLES.items() <= services[name]["environment"].items()


@pytest.mark.parametrize("interpolate", [True, False])
def test_dotenv_reads_it_the_same(interpolate):
    dotenv = pytest.importorskip("dotenv", reason="python-dotenv comes with the stack without Docker")
    assert dotenv.dotenv_values(stream=io.StringIO(TEXT), interpolate=interpolate) == VARIABLES


@pytest.mark.parametrize(("name", "value"), VARIABLES.items())
def test_no_value_is_anything_special_to_any_reader(name, value):
    """Quotes around it, a dollar, a comment behind it, blanks at its ends: there they differ."""
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", name)
    assert value
    assert value == value.strip()
    assert not re.search(r"""^["']|\$|\\|\s#""", value)


def test_no_variable_stands_there_twice():
    assert len(re.findall(r"^[A-Z]\w*=", TEXT, re.MULTILINE)) == len(VARIABLES)


def test_every_line_is_explained():
    """There is a comment above each variable, or above the block that it is in."""
    for block in TEXT.split("\n\n"):
        if re.search(r"^[A-Z]\w*=", block, re.MULTILINE):
            above = TEXT[: TEXT.index(block)].rstrip().splitlines()
            assert block.startswith("#") or above[-1].startswith("# ---"), block


def test_the_connections_are_those_of_the_projects_config(project_config):
    names = (project_config.MLFLOW_CONNECTION, project_config.AWS_CONNECTION)
    assert {f"AIRFLOW_CONN_{name.upper()}" for name in names} == CONNECTIONS
    assert VARIABLES["AIRFLOW__ASTRO_SDK__XCOM_STORAGE_CONN_ID"] == project_config.AWS_CONNECTION


def test_production_is_not_told_to_copy_what_suits_a_laptop():
    """docs/deployment.md sends people to part 1 alone."""
    assert {name for name in NEEDED if name.startswith("AIRFLOW")} == CONNECTIONS | {
        "AIRFLOW__CORE__XCOM_BACKEND",
        "AIRFLOW__ASTRO_SDK__XCOM_STORAGE_CONN_ID",
        "AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL",
        "AIRFLOW__CORE__MAX_TEMPLATED_FIELD_LENGTH",
    }
    assert {name for name in LAPTOP if not name.startswith("AIRFLOW__")} == set()
    assert "AIRFLOW__CORE__TEST_CONNECTION" in LAPTOP


def test_airflow_accepts_the_connections():
    mlflow = as_airflow_has_it(VARIABLES["AIRFLOW_CONN_MLFLOW_DEFAULT"])
    assert (mlflow["conn_type"], mlflow["host"], mlflow["login"]) == ("http", "http://mlflow:5000", None)
    s3 = as_airflow_has_it(VARIABLES["AIRFLOW_CONN_AWS_CONN"])
    assert (s3["conn_type"], s3["login"], s3["password"]) == ("aws", "minioadmin", "minioadmin")
    assert s3["extra"]["endpoint_url"] == "http://minio:9000"


def test_services_of_the_addresses_are_there(override):
    addresses = re.findall(r"http://([a-z]\w+):(\d+)", "".join(VARIABLES[name] for name in CONNECTIONS))
    assert {name for name, _ in addresses} == {"mlflow", "minio"}
    for name, port in addresses:
        assert any(published.endswith(f":{port}") for published in override["services"][name]["ports"])


class TestWithoutDocker:
    """The stack of `make run` gets the same variables."""

    @pytest.fixture
    def stack(self, tmp_path, monkeypatch):
        reason = "the stack without Docker is not installed here"
        module = pytest.importorskip("include.local_stack.stack", reason=reason)
        stack = module.Stack(tmp_path, ports=module.free_ports(), variables=ROOT / ".env_example")
        stack.choose_ports_and_secrets()
        return stack

    def test_only_the_addresses_differ(self, stack):
        here = stack.shared_variables()
        assert here.keys() == VARIABLES.keys()
        assert {name for name, value in here.items() if value != VARIABLES[name]} == CONNECTIONS
        assert not re.search(r"http://(minio|mlflow)\b", json.dumps(here))
        for name in CONNECTIONS:
            connections = [as_airflow_has_it(variables[name]) for variables in (here, VARIABLES)]
            for connection in connections:
                connection["extra"].pop("endpoint_url", None)
                del connection["host"]
            assert connections[0] == connections[1]
        assert here.items() <= stack.environment().items()

    @pytest.mark.parametrize(
        ("line", "variables"),
        [
            ("", {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}),
            ("AIRFLOW_CONN_AWS_CONN=aws://a:b@", {"AWS_ACCESS_KEY_ID": "minioadmin"}),
        ],
    )
    def test_a_connection_that_is_not_here_means_the_own_store(self, stack, tmp_path, line, variables):
        (tmp_path / ".env").write_text(line)
        stack.variables = tmp_path / ".env"

        assert variables.items() <= stack.s3_variables().items()
        assert stack.s3_variables()["MLFLOW_S3_ENDPOINT_URL"] == stack.url("s3")

    def test_a_connection_without_a_login_leads_to_the_own_store_with_its_own(self, stack, tmp_path):
        connection = {"conn_type": "aws", "extra": {"endpoint_url": "http://minio:9000"}}
        (tmp_path / ".env").write_text(f"AIRFLOW_CONN_AWS_CONN={json.dumps(connection)}")
        stack.variables = tmp_path / ".env"

        assert stack.s3_login() == {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}

    def test_mlflow_follows_the_connection_to_aws(self, stack, tmp_path):
        connection = {"conn_type": "aws", "login": "a", "password": "b", "extra": {"region_name": "eu-central-1"}}
        (tmp_path / ".env").write_text(
            f"AIRFLOW_CONN_AWS_CONN={json.dumps(connection)}\nMLFLOW_ARTIFACTS_DESTINATION=s3://mine\n"
        )
        stack.variables = tmp_path / ".env"
        (mlflow,) = (service for service in stack._services() if service.name == "mlflow")

        assert mlflow.command[-2:] == ["--artifacts-destination", "s3://mine"]
        assert {name: value for name, value in mlflow.variables.items() if "AWS" in name or "S3" in name} == {
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }
        assert stack.s3_login() == {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}

    def test_a_connection_that_is_not_valid_json_is_named(self, stack, tmp_path):
        (tmp_path / ".env").write_text("AIRFLOW_CONN_AWS_CONN={'login': 'a'}")
        stack.variables = tmp_path / ".env"

        with pytest.raises(Exception, match=r"AIRFLOW_CONN_AWS_CONN in .*\.env is not valid JSON"):
            stack.s3_variables()

    def test_airflow_knows_where_a_browser_finds_it(self, stack):
        base_url = stack.environment()["AIRFLOW__WEBSERVER__BASE_URL"]
        assert base_url == f"http://localhost:{stack.ports['airflow']}"

    def test_airflow_runs_as_the_astro_cli_runs_it(self, stack, services):
        """Settings that the Astro CLI sets itself, where the stack without Docker sets them, too."""
        theirs = {
            name: value
            for name, value in services["scheduler"]["environment"].items()
            if name.startswith("AIRFLOW__") and name not in VARIABLES
        }
        ours = stack.environment()
        assert {name: ours[name] for name in theirs if name in ours and "SQL_ALCHEMY" not in name} == {
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        }
