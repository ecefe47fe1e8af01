"""Delete what old runs left between the tasks: `python -m include.orchestration.prune DAYS [--dry-run]`.

XComs of the project's three DAGs that are older than that many days are deleted from the metadata database, then the
DataFrames of the XCom backend that no XCom of any DAG refers to. Features, predictions, models and MLflow runs stay,
and so does everything else in the bucket. Two Airflows that share the bucket need different values of
AIRFLOW__ASTRO_SDK__XCOM_STORAGE_URL, such as s3://localxcom/team_a.
"""

from __future__ import annotations

import argparse
import logging
import re
from datetime import datetime, timedelta

from airflow.configuration import conf
from airflow.models import XCom
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.utils import timezone
from airflow.utils.session import create_session
from sqlalchemy import and_, not_

from include.orchestration import DAG_IDS

# What the backend calls an object: astro.utils.dataframe.convert_dataframe_to_file.
OBJECT_NAME = r"[a-z][a-z0-9]{64}\.parquet"

log = logging.getLogger(__name__)


def prune(before: datetime, dry_run: bool = False) -> list[str]:
    """Delete XComs and DataFrames from before that time, and return the addresses of the DataFrames.

    A DataFrame written before that time is kept as long as an XCom refers to it, at whatever depth of its value. With
    `dry_run` nothing is deleted, only listed. A run started by hand that needs a deleted XCom says so and fails.
    """
    is_old = and_(XCom.dag_id.in_(DAG_IDS), XCom.timestamp < before)
    storage = conf.get("astro_sdk", "xcom_storage_url") + "/"  # as the backend puts it in front of an object's name
    bucket, _, prefix = storage.removeprefix("s3://").partition("/")
    hook = S3Hook(conf.get("astro_sdk", "xcom_storage_conn_id"))
    keys = hook.list_keys(bucket, prefix, delimiter="/", to_datetime=before)
    written = [key for key in keys if re.fullmatch(OBJECT_NAME, key.removeprefix(prefix))]

    with create_session() as session:  # read after the listing: an XCom follows its DataFrame
        old = session.query(XCom.dag_id, XCom.run_id, XCom.task_id, XCom.map_index, XCom.key).filter(is_old).all()
        used: set[str] = set()
        for (value,) in session.query(XCom.value).filter(not_(is_old)).yield_per(1000):
            used.update(re.findall(OBJECT_NAME, (value or b"").decode(errors="replace")))
        unused = [key for key in written if key.removeprefix(prefix) not in used]
        if not dry_run:
            session.query(XCom).filter(is_old).delete(synchronize_session=False)
    if unused and not dry_run:
        hook.delete_objects(bucket, unused)

    addresses = [f"s3://{bucket}/{key}" for key in unused]
    verb = "Would delete" if dry_run else "Deleted"
    if dry_run:
        for xcom in old:
            log.info("%s XCom %s", verb, " ".join(str(part) for part in xcom))
        for address in addresses:
            log.info("%s %s", verb, address)
    log.info("%s %d XComs and %d DataFrames in %s", verb, len(old), len(unused), storage)
    return addresses


def _days(text: str) -> timedelta:
    if not re.fullmatch(r"\d{1,5}(\.\d+)?", text) or float(text) < 1:  # less would delete what a run still needs
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days from 1 on. For example: make prune DAYS=30")
    return timedelta(days=float(text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Delete what old runs left between the tasks.")
    parser.add_argument("days", type=_days, help="how many days old an XCom or a DataFrame must be")
    parser.add_argument("--dry-run", action="store_true", help="list what would be deleted, and delete nothing")
    arguments = parser.parse_args()
    for name in ("root", "airflow.task"):  # the S3 hook names each object that it deletes
        logging.getLogger(name).setLevel(logging.WARNING)
    log.setLevel(logging.INFO)
    prune(timezone.utcnow() - arguments.days, arguments.dry_run)
