"""Tells transient errors, which a retry may get past, from permanent ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow.exceptions import AirflowFailException, AirflowNotFoundException
from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError, PartialCredentialsError

from include.errors import ConfigurationError, DataError

TRANSIENT_STATUSES = {408, 425, 429}  # of the 4xx: they ask to try again later
TRANSIENT_S3_CODES = {
    "BucketAlreadyOwnedByYou",  # another task created it a moment ago
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
PERMANENT = (
    DataError,
    ConfigurationError,
    AirflowNotFoundException,  # a connection that does not exist
    NoCredentialsError,
    PartialCredentialsError,
    ParamValidationError,
)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status behind an error of requests, botocore or MLflow, if there is one."""
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if hasattr(error, "get_http_status_code"):  # an MlflowException; importing the class here would import MLflow
        return error.get_http_status_code()
    return getattr(getattr(error, "response", None), "status_code", None)


def is_transient_status(status: int) -> bool:
    """Return whether another request may get a better answer than this HTTP status."""
    return status >= 500 or status in TRANSIENT_STATUSES


def is_permanent(error: BaseException) -> bool:
    """Return whether a retry would fail in the same way."""
    if isinstance(error, PERMANENT):
        return True
    if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in TRANSIENT_S3_CODES:
        return False
    status = http_status(error)
    return status is not None and status >= 400 and not is_transient_status(status)


@contextlib.contextmanager
def retry_policy() -> Iterator[None]:
    """Turn a permanent error into the exception that makes Airflow fail the task without retry.

    Raises:
        AirflowFailException: For a permanent error, with its message. Transient errors pass through.
    """
    try:
        yield
    except (DataError, ConfigurationError) as error:  # their messages explain it all; a traceback would add nothing
        raise AirflowFailException(str(error)) from None
    except Exception as error:
        if is_permanent(error):
            raise AirflowFailException(str(error)) from error
        raise
