"""The Amazon provider's bucket operator, which fails without retry where an error is permanent."""

from __future__ import annotations

from airflow.hooks.base import BaseHook
from airflow.providers.amazon.aws.operators import s3
from airflow.utils.context import Context
from botocore.exceptions import ClientError

from include.errors import ConfigurationError
from include.orchestration.retries import http_status, retry_policy


class S3CreateBucketOperator(s3.S3CreateBucketOperator):
    """Create a bucket. One that exists already stays as it is."""

    @retry_policy()
    def execute(self, context: Context) -> None:
        """Create the bucket.

        Raises:
            ConfigurationError: If S3 rejects the connection's login.
        """
        if self.aws_conn_id:  # without this, a missing connection would mean whatever credentials this machine has
            BaseHook.get_connection(self.aws_conn_id)
        try:
            super().execute(context)
        except ClientError as error:
            if http_status(error) not in (401, 403):
                raise
            raise ConfigurationError(
                f"S3 denied connection {self.aws_conn_id!r} access to bucket {self.bucket_name!r}: {error}. "
                "Correct login and password; or create the bucket yourself, and let this login use it."
            ) from error
