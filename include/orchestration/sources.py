"""Where the rows come from: a file in `include/`, an object in S3, or a file on the web."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from botocore.exceptions import ClientError

from include import config
from include.config_rules import NEW_PREDICTIONS
from include.errors import ConfigurationError, DataError
from include.modeling.rows import DataFile
from include.orchestration.retries import http_status, is_transient_status

TIMEOUT = (5, 30)  # seconds to connect, and between two bytes of the answer
MAX_BYTES = 4 * 1024**3  # of an object in S3 or a file on the web: they must not fill the worker's memory
CHUNK = 1024**2


def read_data_file(data_file: str) -> DataFile:
    """Return a file in `include/`, of `s3://bucket/key` or `https://host/path` with its content.

    Raises DataError if there is none or it can't be read, ConfigurationError for a host that is not allowed or a file
    that this pipeline writes, and requests.HTTPError or botocore's ClientError for a transient error.
    """
    if data_file.startswith("s3://"):
        return _read_s3(data_file, config.AWS_CONNECTION)
    if data_file.startswith("https://"):
        return _read_https(data_file, allowed_hosts())
    return _read_local(data_file, config.INCLUDE)


def allowed_hosts() -> tuple[str, ...]:
    """Return the hosts that files may be fetched from: those of `DATA_HOSTS`, and that of `DATA_FILE`."""
    return (*map(str.lower, config.DATA_HOSTS), *host_of(config.DATA_FILE))


def predictions_key(data_file: str | None) -> str:
    """Return the key of the predictions in S3. Those for new rows never replace those of the training."""
    return f"{NEW_PREDICTIONS}/{PurePosixPath(data_file).stem}.csv" if data_file else config.PREDICTIONS_FILE


def host_of(data_file: str) -> tuple[str, ...]:
    """Return the host of an https address, as a tuple that is empty for other files."""
    host = urlsplit(data_file).hostname if data_file.startswith("https://") else None
    return (host,) if host else ()


def _read_local(name: str, folder: Path) -> DataFile:
    path = folder / name
    if not path.is_file():
        raise DataError(
            f"{path} is missing. Put the data there, or name another file: on the form, or as DATA_FILE in "
            "include/config.py."
        )
    if path.resolve().parent != folder.resolve():
        raise DataError(f"{path} leads out of {folder}. Copy the file there.")
    return DataFile(name, path.read_bytes())


def _read_s3(address: str, aws_conn_id: str) -> DataFile:
    # The Astro SDK's File would read it, too, but says neither the version nor what is wrong.
    bucket, key = S3Hook.parse_s3_url(address)
    own = key in (config.FEATURES_FILE, config.PREDICTIONS_FILE) or key.startswith(f"{NEW_PREDICTIONS}/")
    if bucket == config.DATA_BUCKET and own:
        raise ConfigurationError(
            f"{address} is what this pipeline writes, so it would replace its own data. Put the data under another "
            f"key, such as s3://{bucket}/raw/{PurePosixPath(key).name}."
        )
    try:
        answer = S3Hook(aws_conn_id).get_conn().get_object(Bucket=bucket, Key=key)
        if answer["ContentLength"] > MAX_BYTES:
            raise DataError(
                f"{address} has {answer['ContentLength']:,} bytes, but at most {MAX_BYTES:,} are read. Save it as "
                "Parquet, or leave out rows or columns."
            )
        content = answer["Body"].read()
    except ClientError as error:
        status = http_status(error)
        if status is None or is_transient_status(status):
            raise
        raise DataError(
            f"{address} can't be read with connection {aws_conn_id!r}: {str(error).rstrip('.')}. Correct the address, "
            "or let the connection's login read it."
        ) from None
    version = answer.get("VersionId", "null")  # "null" in a bucket without versions
    return DataFile(address, content, answer["ETag"].strip('"') if version == "null" else version)


def _read_https(address: str, hosts: tuple[str, ...]) -> DataFile:
    parts = urlsplit(address)
    if parts.hostname not in hosts or parts.port not in (None, 443) or parts.username or parts.password:
        allowed = ", ".join(hosts) or "none"
        raise ConfigurationError(
            f"{address} is not on an allowed host ({allowed}, port 443, no login). Add the host to DATA_HOSTS in "
            "include/config.py, or copy the file to include/ or S3."
        )
    # A redirect could lead anywhere, so it is not followed.
    try:
        with requests.get(address, timeout=TIMEOUT, allow_redirects=False, stream=True) as response:
            return DataFile(address, _content(response, address), _etag(response))
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            raise
        raise ConfigurationError(
            f"{address}: the certificate of its host can't be verified: {error}. Correct the address, set "
            "REQUESTS_CA_BUNDLE to a file with the authority that signed the certificate, or copy the file to include/ "
            "or S3."
        ) from None


def _content(response: requests.Response, address: str) -> bytes:
    if is_transient_status(response.status_code):
        response.raise_for_status()
    if response.status_code != 200:
        raise DataError(
            f"{address} has status {response.status_code}. Correct the address; redirects are not followed."
        )
    content = io.BytesIO()  # hands out its bytes without a copy
    for chunk in response.iter_content(CHUNK):
        content.write(chunk)
        if content.tell() > MAX_BYTES:
            raise DataError(f"{address} has more than {MAX_BYTES:,} bytes. Copy the file to S3, and read it there.")
    return content.getvalue()


def _etag(response: requests.Response) -> str | None:
    return response.headers.get("ETag", "").removeprefix("W/").strip('"') or None
