"""The Amazon provider's bucket operator, which fails at once where trying again is no use."""

from __future__ import annotations

from airflow.hooks.base import BaseHook
from airflow.providers.amazon.aws.operators import s3
from airflow.utils.context import Context

from include.failures import fail_for_good


class S3CreateBucketOperator(s3.S3CreateBucketOperator):
    """Makes a bucket. One that is there already is left as it is."""

    @fail_for_good()
    def execute(self, context: Context) -> None:
        if self.aws_conn_id:  # one that isn't there would silently mean whatever credentials this machine has
            BaseHook.get_connection(self.aws_conn_id)
        super().execute(context)
