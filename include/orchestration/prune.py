"""Removes what old runs have left between the tasks: `python -m include.orchestration.prune DAYS`.

XComs older than that many days go from the metadata database, then the objects in the XCom bucket that no XCom refers
to any more. Features, predictions, models and MLflow's runs stay. An Airflow that shares the bucket with another one
needs a prefix of its own in AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL.
"""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timedelta

import pendulum
from airflow.configuration import conf
from airflow.models import XCom
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.utils import timezone
from airflow.utils.db_cleanup import run_cleanup
from airflow.utils.session import create_session

log = logging.getLogger(__name__)


def remove_old_xcoms(before: datetime) -> None:
    """Deletes XComs from before that time. A run started by hand then needs a newer run to work for, and says so."""
    run_cleanup(
        clean_before_timestamp=pendulum.instance(before), table_names=["xcom"], confirm=False, skip_archive=True
    )


def remove_unused_objects(before: datetime) -> list[str]:
    """Deletes objects written before that time that no XCom refers to. Returns their keys."""
    hook = S3Hook(conf.get("astro_sdk", "xcom_storage_conn_id"))
    bucket, prefix = hook.parse_s3_url(conf.get("astro_sdk", "xcom_storage_url").rstrip("/") + "/")
    with create_session() as session:
        values = [xcom.value for xcom in session.query(XCom)]
    used = {value["path"] for value in values if isinstance(value, dict) and value.get("class") == "File"}
    old = hook.list_keys(bucket, prefix, to_datetime=before)
    unused = [key for key in old if f"s3://{bucket}/{key}" not in used]
    if unused:
        hook.delete_objects(bucket, unused)
    log.info("Removed %d of %d objects in s3://%s/%s", len(unused), len(old), bucket, prefix)
    return unused


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1].replace(".", "", 1).isdigit():
        sys.exit("How many days old may it be? For example: make prune DAYS=30")
    cutoff = timezone.utcnow() - timedelta(days=float(sys.argv[1]))
    remove_old_xcoms(cutoff)
    remove_unused_objects(cutoff)
