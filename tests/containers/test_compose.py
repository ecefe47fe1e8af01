"""docker-compose.override.yml, merged into the file that the Astro CLI creates."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys

import pytest
from harness import ROOT

from include.tracking.pages import seen_by_browser

AIRFLOW = ("scheduler", "webserver", "triggerer")
ADDED = ("minio", "mlflow")
LOOPBACK = "127.0.0.1"
PINNED = re.compile(r"[\w./-]+:[\w.-]*\d+\.\d+\.\d+[\w.-]*|[\w./-]+:RELEASE\.\d{4}-\d\d-\d\dT[\d-]+Z")
DEFAULTS = {"minioadmin", "postgres"}  # the documented logins of services that only this machine reaches


def ports(service: dict) -> dict[int, tuple[str, int]]:
    """The address and port on this machine for each port of a service, whichever way compose writes them."""
    found = {}
    for port in service.get("ports", []):
        if isinstance(port, str):
            address, published, inside = port.removesuffix("/tcp").rsplit(":", 2)
        else:
            address, published, inside = port.get("host_ip"), port["published"], port["target"]
        found[int(inside)] = (address, int(published))
    return found


def volumes(service: dict) -> dict[str, str]:
    """What is mounted at each path of a service: a volume's name, or a path of this machine."""
    listed = [
        volume if isinstance(volume, dict) else dict(zip(("source", "target"), volume.split(":"), strict=False))
        for volume in service.get("volumes", [])
    ]
    return {volume["target"]: volume["source"] for volume in listed}


def test_all_share_one_network(services):
    assert {name for name, each in services.items() if [*each.get("networks", ())] == ["airflow"]} >= {*AIRFLOW, *ADDED}


def test_every_image_is_pinned(override):
    images = {service["image"] for service in override["services"].values() if "image" in service}
    images |= set(re.findall(r"^FROM +(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert len(images) == 3
    assert not [image for image in images if not PINNED.fullmatch(image)]


def test_mlflow_is_the_same_version_everywhere():
    versions = {
        *re.findall(r"mlflow/mlflow:v([\d.]+)", (ROOT / "docker-compose.override.yml").read_text()),
        *re.findall(r"^mlflow(?:-skinny)?==(.+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE),
        *re.findall(r"\"mlflow==([\d.]+)\"", (ROOT / "pyproject.toml").read_text()),
    }
    assert len(versions) == 1


def test_services_come_back_and_mlflow_waits_until_minio_is_healthy(services):
    assert {services[name]["restart"] for name in ADDED} == {"unless-stopped"}
    assert {services[name]["healthcheck"]["test"][0] for name in ADDED} == {"CMD"}
    assert services["mlflow"]["depends_on"]["minio"]["condition"] == "service_healthy"


def test_ports_are_open_to_this_machine_alone(services):
    assert {address for service in services.values() for address, _ in ports(service).values()} == {LOOPBACK}
    assert ports(services["mlflow"]) == {5000: (LOOPBACK, 5000)}
    assert ports(services["minio"]) == {9000: (LOOPBACK, 9000), 9001: (LOOPBACK, 9001)}
    assert ports(services["scheduler"]) == {5002: (LOOPBACK, 5002)}


def test_the_shell_moves_ports(merged):
    moved = merged(MLFLOW_PORT="5001", S3_PORT="9100", S3_CONSOLE_PORT="9101")["services"]
    assert ports(moved["mlflow"]) == {5000: (LOOPBACK, 5001)}
    assert ports(moved["minio"]) == {9000: (LOOPBACK, 9100), 9001: (LOOPBACK, 9101)}


@pytest.mark.parametrize("shell", [{}, {"MLFLOW_PORT": "5001", "S3_PORT": "9100"}])
@pytest.mark.parametrize("name", AIRFLOW)
def test_buttons_lead_to_the_ports_that_are_open(merged, variables, monkeypatch, name, shell):
    started = merged(**shell)["services"]
    monkeypatch.setenv("PUBLISHED_AT", started[name]["environment"]["PUBLISHED_AT"])
    for variable in ("AIRFLOW_CONN_MLFLOW_DEFAULT", "AIRFLOW_CONN_AWS_CONN"):
        service, inside = re.search(r"http://(\w+):(\d+)", variables[variable]).groups()
        _, published = ports(started[service])[int(inside)]
        for address in (f"http://{service}:{inside}", f"http://host.docker.internal:{published}"):
            assert seen_by_browser(address) == f"http://localhost:{published}"
    assert seen_by_browser("https://mlflow.example.com") == "https://mlflow.example.com"


@pytest.mark.parametrize("name", [*AIRFLOW, "mlflow"])
def test_this_machine_has_a_name_in_the_containers(services, name):
    hosts = services[name]["extra_hosts"]
    entries = [f"{host}:{address}" for host, address in hosts.items()] if isinstance(hosts, dict) else hosts
    assert [entry.replace("=", ":") for entry in entries] == ["host.docker.internal:host-gateway"]


def test_mlflow_answers_all_names_that_it_is_called_by(override):
    words = override["services"]["mlflow"]["command"].split()
    allowed = words[words.index("--allowed-hosts") + 1].split(",")
    assert {"localhost:*", "127.0.0.1:*", "mlflow:*", "host.docker.internal:*"} == set(allowed)


def test_what_must_last_is_on_volumes(services, merged):
    assert volumes(services["minio"])["/data"] == "minio_data"
    assert volumes(services["mlflow"])["/mlflow"] == "mlflow_data"
    assert "sqlite:////mlflow/" in str(services["mlflow"]["command"])
    assert {"minio_data", "mlflow_data", "prediction_environments"} <= set(merged()["volumes"])


def test_prediction_environments_are_on_a_volume_that_the_tasks_may_write(services):
    dockerfile = (ROOT / "Dockerfile").read_text()
    mounted = {
        target for target, source in volumes(services["scheduler"]).items() if source == "prediction_environments"
    }
    (folder,) = mounted
    assert re.search(rf"UV_CACHE_DIR={folder}/\S+", dockerfile)
    assert f"RUN mkdir -p {folder}" in dockerfile  # a new volume has the owner of the image's folder
    assert not re.findall(r"^USER", dockerfile, re.MULTILINE)


def test_plots_land_in_the_project(services, project, project_config):
    assert volumes(services["mlflow"])["/plots"] == str(project / "include" / "plots")
    assert project_config.PLOTS == ROOT / "include" / "plots"


def test_no_secret_beyond_the_documented_defaults(override):
    secrets = {
        str(value)
        for service in override["services"].values()
        for name, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|SECRET|TOKEN|KEY|USER", name)
    }
    assert secrets <= DEFAULTS


@pytest.fixture
def started(override, tmp_path):
    """What MLflow's server sees when its container starts with these variables, and the folder of plots."""
    mlflow = override["services"]["mlflow"]
    mounted = dict(volume.split(":")[1::-1] for volume in mlflow["volumes"])
    python, script, folder = mlflow["entrypoint"]
    assert (python, mounted[folder]) == ("python", "./include/plots")
    script = ROOT / mounted[script]
    if not script.exists():
        pytest.skip(f"{script.name} is mounted from the project's folder; the image doesn't have it")
    plots = tmp_path / "plots"
    plots.mkdir(mode=0o755)

    def start(**variables: str) -> dict[str, str]:
        environment = {"PATH": os.environ["PATH"]} | mlflow["environment"] | variables
        show = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]
        command = [sys.executable, "-I", script, plots, *show]
        return json.loads(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)

    return start, plots


def test_mlflow_has_the_s3_store_of_the_connection(started, variables, project_config):
    start, _ = started
    seen = start(**variables)
    assert seen["AWS_ACCESS_KEY_ID"] == seen["AWS_SECRET_ACCESS_KEY"] == "minioadmin"
    assert seen["MLFLOW_S3_ENDPOINT_URL"] == "http://minio:9000"
    assert seen["MLFLOW_ARTIFACTS_DESTINATION"] == f"s3://{project_config.ARTIFACT_BUCKET}"


@pytest.mark.parametrize("extra", [{"region_name": "eu-west-1"}, '{"region_name": "eu-west-1"}'])
def test_one_line_moves_mlflow_to_aws(started, variables, extra):
    start, _ = started
    aws = json.dumps({"conn_type": "aws", "login": "ours", "password": "secret", "extra": extra})
    seen = start(**variables | {"AIRFLOW_CONN_AWS_CONN": aws, "MLFLOW_ARTIFACTS_DESTINATION": "s3://ours-mlflow"})
    assert "MLFLOW_S3_ENDPOINT_URL" not in seen
    assert (seen["AWS_ACCESS_KEY_ID"], seen["AWS_SECRET_ACCESS_KEY"]) == ("ours", "secret")
    assert seen["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert seen["MLFLOW_ARTIFACTS_DESTINATION"] == "s3://ours-mlflow"


def test_a_connection_kept_elsewhere_leaves_mlflow_with_minio(started):
    start, _ = started
    assert start()["MLFLOW_S3_ENDPOINT_URL"] == start(AIRFLOW_CONN_AWS_CONN="aws://")["MLFLOW_S3_ENDPOINT_URL"]


def test_everyone_may_write_plots(started):
    start, plots = started
    start()
    assert stat.S_IMODE(plots.stat().st_mode) == 0o777
    plots.rmdir()
    start()  # no reason not to start
