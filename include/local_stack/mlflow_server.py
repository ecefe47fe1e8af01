"""Give MLflow's server the S3 store of the Airflow connection `aws_conn`, so that one line of .env moves both.

The stack without Docker imports this; docker-compose.override.yml mounts it into MLflow's container and starts the
server through it. So it imports nothing but the standard library. (Tasks ask Airflow's hooks instead, which know roles
and profiles, too: include/tracking/session.py.)
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

FIELDS = {
    "AWS_ACCESS_KEY_ID": "login",
    "AWS_SECRET_ACCESS_KEY": "password",
    "AWS_SESSION_TOKEN": "aws_session_token",
    "AWS_DEFAULT_REGION": "region_name",
    "MLFLOW_S3_ENDPOINT_URL": "endpoint_url",
}


def s3_variables(connection: str) -> dict[str, str] | None:
    """Return the variables with which boto3 and MLflow find the S3 store of a connection in Airflow's JSON form.

    None where the connection is not in that form: a URI, or kept elsewhere. ValueError where the JSON is not valid.
    """
    if not connection.startswith("{"):
        return None
    fields = json.loads(connection)
    extra = fields.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    values = extra | fields
    return {variable: values[field] for variable, field in FIELDS.items() if values.get(field)}


def start(plots: Path, command: list[str]) -> None:
    """Replace this process, the first of MLflow's container, by the server."""
    # On Linux the folder belongs to the user who cloned the project, and tasks write plots there as the user astro.
    # This container's user is root, who may let everyone write there.
    with contextlib.suppress(OSError):
        plots.chmod(0o777)
    variables = s3_variables(os.environ.get("AIRFLOW_CONN_AWS_CONN", ""))
    if variables is not None:
        for name in FIELDS:
            os.environ.pop(name, None)
        os.environ.update(variables)
    os.environ.setdefault("MLFLOW_ARTIFACTS_DESTINATION", "s3://mlflowdatapossums")
    os.execvp(command[0], command)  # noqa: S606  # as a container's entry point does


if __name__ == "__main__":
    start(Path(sys.argv[1]), sys.argv[2:])
