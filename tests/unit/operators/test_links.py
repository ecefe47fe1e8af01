"""The buttons on the pages of tasks."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from astro.files import File

from include import config
from include.operators.links import ObjectLink


def test_the_address_of_an_s3_object_is_valid_for_five_minutes(connect):
    extra = {"endpoint_url": "http://minio:9000", "region_name": "us-east-1"}
    connect(config.AWS_CONNECTION, conn_type="aws", login="a", password="b", extra=extra)

    address = urlsplit(ObjectLink().address(File("s3://data/possum.csv")))

    assert (address.netloc, address.path) == ("minio:9000", "/data/possum.csv")
    assert parse_qs(address.query)["X-Amz-Expires"] == ["300"]
