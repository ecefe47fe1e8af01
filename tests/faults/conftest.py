from __future__ import annotations

import pytest
from harness.site import Site
from harness.slow_way import SlowWay

from include.local_stack.stack import free_port


@pytest.fixture(scope="session")
def whole_site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        site.start()
        site.pipeline.finish(site.pipeline.trigger())
        yield site
    finally:
        site.stack.stop()


@pytest.fixture
def site(whole_site):
    """A site with at least one pipeline run. It must survive what a test does to it."""
    yield whole_site
    whole_site.until(lambda: not whole_site.is_busy(), "what was announced last")
    whole_site.check()


@pytest.fixture(scope="session")
def sharing_site(tmp_path_factory, whole_site):
    """Another Airflow, which works with MLflow and S3 of `whole_site`."""
    addresses = {"http://mlflow:5000": whole_site.stack.url("mlflow"), "http://minio:9000": whole_site.stack.url("s3")}
    site = Site(tmp_path_factory.mktemp("sharing site"), addresses)
    try:
        site.start()
        whole_site.sharing.append(site)
        yield site
    finally:
        site.stack.stop()


@pytest.fixture(scope="session")
def slow_ways():
    return {"mlflow": SlowWay(free_port()), "s3": SlowWay(free_port())}


@pytest.fixture(scope="session")
def slow_site(tmp_path_factory, slow_ways):
    """A site whose pipeline reaches MLflow and S3 on ways that can be slowed down."""
    addresses = {"http://mlflow:5000": slow_ways["mlflow"].url, "http://minio:9000": slow_ways["s3"].url}
    ports = {name: way.target for name, way in slow_ways.items()}
    site = Site(tmp_path_factory.mktemp("slow site"), addresses, **ports)
    try:
        site.start()
        yield site
    finally:
        site.stack.stop()
