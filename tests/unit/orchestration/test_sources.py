from __future__ import annotations

import ssl
import subprocess
import tracemalloc

import pytest
import requests

from include import config
from include.errors import ConfigurationError, DataError
from include.orchestration import sources


def read(data_file, folder, hosts=()):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(config, "INCLUDE", folder)
        patch.setattr(config, "DATA_HOSTS", hosts)
        return sources.read_data_file(data_file)


def test_a_file_in_the_folder_is_read(tmp_path):
    (tmp_path / "mine.csv").write_bytes(b"a,b")

    file = read("mine.csv", tmp_path)

    assert (file.address, file.content, file.version) == ("mine.csv", b"a,b", None)


@pytest.mark.parametrize("name", ["nothing.csv", "."], ids=["no file", "a folder"])
def test_a_missing_file_is_a_data_error(name, tmp_path):
    with pytest.raises(DataError, match=r"is missing. Put the data there, or name another file"):
        read(name, tmp_path)


def test_a_link_out_of_the_folder_is_a_data_error(tmp_path):
    (tmp_path / "secret.csv").write_text("password")
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "mine.csv").symlink_to(tmp_path / "secret.csv")

    with pytest.raises(DataError, match="leads out of"):
        read("mine.csv", tmp_path / "include")


@pytest.mark.parametrize("key", ["possum.csv", "/possum.csv", "possum_tail_length.csv", "predictions/new.csv"])
def test_a_file_that_the_pipeline_writes_is_not_read(key):
    with pytest.raises(ConfigurationError, match=rf"s3://data/{key} is what this pipeline writes.*s3://data/raw/"):
        sources.read_data_file(f"s3://data/{key}")


def test_hosts_may_be_a_list_and_written_in_capitals(monkeypatch):
    monkeypatch.setattr(config, "DATA_HOSTS", ["Data.Example.org"])

    assert sources.allowed_hosts() == ("data.example.org",)


@pytest.mark.parametrize("data_file", ["possum.csv", "s3://lab/possum.csv"])
def test_only_an_https_address_allows_its_host(data_file, monkeypatch):
    monkeypatch.setattr(config, "DATA_FILE", data_file)

    assert sources.allowed_hosts() == ()


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example.org/a.csv",
        "https://data.example.org:8443/a.csv",
        "https://me@data.example.org/a.csv",
        "https://data.example.org@elsewhere.example.org/a.csv",
        "https://data.example.org.evil.org/a.csv",
        "https://169.254.169.254/a.csv",
    ],
)
def test_an_address_on_another_host_or_port_is_not_called(address, tmp_path):
    with pytest.raises(ConfigurationError, match=r"is not on an allowed host \(data.example.org, port 443, no login\)"):
        read(address, tmp_path, ("data.example.org",))


def test_an_object_that_is_too_large_is_rejected_before_it_is_read(server, connect, tmp_path):
    extra = {"endpoint_url": server.url, "region_name": "us-east-1"}
    connect("aws_conn", conn_type="aws", login="a", password="b", extra=extra)
    server.answer = 200, "", {"Content-Length": "5000000000"}

    with pytest.raises(DataError, match=r"s3://data/mine.csv has 5,000,000,000 bytes, but at most 4,294,967,296 are"):
        read("s3://data/mine.csv", tmp_path)


@pytest.fixture
def web(server, tmp_path, monkeypatch):
    """The test's web server by https, as if it were on port 443."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    subprocess.run([*command.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    port = server.server_address[1]
    get = requests.get
    monkeypatch.setattr(
        sources.requests, "get", lambda url, **options: get(url.replace("localhost", f"localhost:{port}"), **options)
    )
    return server


def test_a_file_on_an_allowed_host_is_read(web, tmp_path):
    web.answer = 200, "a,b"

    file = read("https://localhost/rows/mine.csv", tmp_path, ("localhost",))

    assert (file.address, file.content) == ("https://localhost/rows/mine.csv", b"a,b")
    assert web.requests[0].path == "/rows/mine.csv"


def test_a_redirect_is_not_followed(web, tmp_path):
    web.answer = 302, "", {"Location": "https://localhost/secret"}

    with pytest.raises(DataError, match="has status 302"):
        read("https://localhost/mine.csv", tmp_path, ("localhost",))
    assert len(web.requests) == 1


@pytest.mark.parametrize(("status", "error"), [(404, DataError), (403, DataError), (503, requests.HTTPError)])
def test_an_error_of_the_server_is_permanent_or_transient(status, error, web, tmp_path):
    web.answer = status, ""

    with pytest.raises(error, match=str(status)):
        read("https://localhost/mine.csv", tmp_path, ("localhost",))


def test_an_endless_file_is_rejected(web, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    web.answer = 200, "more than ten bytes"

    with pytest.raises(DataError, match="has more than 10 bytes"):
        read("https://localhost/mine.csv", tmp_path, ("localhost",))


def test_a_certificate_that_cannot_be_verified_is_permanent(web, tmp_path, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    with pytest.raises(ConfigurationError, match=r"https://localhost/mine.csv: the certificate .* REQUESTS_CA_BUNDLE"):
        read("https://localhost/mine.csv", tmp_path, ("localhost",))


def test_a_broken_tls_connection_is_transient(web, tmp_path, monkeypatch):
    def get(url, **options):
        raise requests.exceptions.SSLError("EOF occurred in violation of protocol")

    monkeypatch.setattr(sources.requests, "get", get)

    with pytest.raises(requests.exceptions.SSLError):
        read("https://localhost/mine.csv", tmp_path, ("localhost",))


def test_a_download_is_in_memory_once(web, tmp_path):
    chunk, chunks = b"a" * 1024**2, 30

    def answer(request):
        request.send_response(200)
        request.end_headers()
        for _ in range(chunks):
            request.wfile.write(chunk)
        raise ConnectionAbortedError

    web.answer = answer

    tracemalloc.start()
    try:
        file = read("https://localhost/mine.csv", tmp_path, ("localhost",))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(file.content) == chunks * len(chunk)
    assert peak < 1.5 * len(file.content)


def test_predictions_for_new_rows_are_named_after_their_file():
    assert sources.predictions_key("s3://lab/new animals.parquet") == "predictions/new animals.csv"
    assert sources.predictions_key("ten.csv") == "predictions/ten.csv"
    assert sources.predictions_key(None) == sources.predictions_key("") == config.PREDICTIONS_FILE
