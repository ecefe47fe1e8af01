"""Tells what can pass, and is worth a retry, from what can't."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from airflow.exceptions import AirflowFailException, AirflowNotFoundException
from botocore.exceptions import ClientError, NoCredentialsError, ParamValidationError, PartialCredentialsError

from include.errors import ConfigurationError, DataError

PASSING = {408, 425, 429}  # HTTP statuses of the 4xx that ask to try again later
PASSING_CODES = {  # S3's
    "BucketAlreadyOwnedByYou",  # someone else was a moment faster
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
    AirflowNotFoundException,  # a connection that isn't there
    NoCredentialsError,
    PartialCredentialsError,
    ParamValidationError,
)


def http_status(error: BaseException) -> int | None:
    """The status of the HTTP answer behind an error of requests, botocore or MLflow, if there was one."""
    if isinstance(error, ClientError):
        return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if hasattr(error, "get_http_status_code"):  # MlflowException, named like this so that MLflow isn't imported here
        return error.get_http_status_code()
    return getattr(getattr(error, "response", None), "status_code", None)


def may_pass(status: int) -> bool:
    """Whether another try may get a better answer than this HTTP status."""
    return status >= 500 or status in PASSING


def is_permanent(error: BaseException) -> bool:
    if isinstance(error, ClientError) and error.response.get("Error", {}).get("Code") in PASSING_CODES:
        return False
    status = http_status(error)
    return isinstance(error, PERMANENT) or (status is not None and status >= 400 and not may_pass(status))


@contextlib.contextmanager
def fail_for_good() -> Iterator[None]:
    """Lets what can't get better fail the task without retries. Works as a decorator, too."""
    try:
        yield
    except Exception as error:
        if is_permanent(error) and not isinstance(error, AirflowFailException):
            explained = isinstance(error, DataError | ConfigurationError)  # a traceback would say nothing more
            raise AirflowFailException(str(error)) from None if explained else error
        raise
