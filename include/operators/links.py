"""Buttons in the Airflow UI that lead to what a task has made in MLflow or in S3."""

from __future__ import annotations

from typing import Any

from airflow.models import BaseOperator, BaseOperatorLink, XCom
from airflow.models.taskinstancekey import TaskInstanceKey
from airflow.models.xcom_arg import XComArg
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.config import Config

# The project's own modules are imported where a link is asked for: a plugin loads this module in the scheduler, too,
# and what it has loaded, the tasks that it forks would not read again.

SECONDS_TO_CLICK = 300  # that an S3 object can be downloaded without a login, from when its button was shown


class _Link(BaseOperatorLink):
    """Lead to what a task has returned, or pushed as `key`."""

    key = "return_value"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return the button's address; empty if the task has no result."""
        value = XCom.get_value(ti_key=ti_key, key=self.key)
        return self.address(value) if value else ""

    def address(self, value: Any) -> str:
        """Return the address for what the task has returned or pushed: by default, the path of a page in MLflow."""
        from include import config
        from include.tracking import pages

        return pages.mlflow_page(value, config.MLFLOW_CONNECTION)


class RunLink(_Link):
    """Lead to a run in MLflow."""

    name = "MLflow run"
    key = "mlflow_run_page"


class ExperimentLink(_Link):
    """Lead to the runs of an experiment in MLflow."""

    name = "MLflow experiment"

    def address(self, value: str) -> str:
        return super().address(f"experiments/{value}/runs")


class VersionLink(_Link):
    """Lead to a version of the registered model in MLflow: its page, pushed by `pages.link_version`."""

    name = "Model version"
    key = "model_version_page"


class ObjectLink(_Link):
    """Download the object.

    The address is signed with the login of the connection: whoever may see the task's page can download this one
    object, for five minutes after the page was shown.
    """

    name = "S3 object"

    def address(self, value: Any) -> str:
        from include import config
        from include.tracking.pages import seen_by_browser

        hook = S3Hook(config.AWS_CONNECTION)
        bucket, key = hook.parse_s3_url(value.path)
        endpoint = hook.conn_config.get_service_endpoint_url("s3")
        client = hook.get_session().client(
            "s3",
            endpoint_url=endpoint and seen_by_browser(endpoint.rstrip("/")),
            config=Config(signature_version="s3v4"),
        )
        return client.generate_presigned_url(
            "get_object", Params={"Bucket": bucket, "Key": key}, ExpiresIn=SECONDS_TO_CLICK
        )


def linked(task: XComArg, link: BaseOperatorLink) -> XComArg:
    """Give a task this button, and return the task."""
    for operator, _ in task.iter_references():
        operator.operator_extra_links = (link,)
    return task
