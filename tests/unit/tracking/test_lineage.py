from __future__ import annotations

import pytest
import requests

from include import config
from include.orchestration.retries import is_permanent
from include.tracking.lineage import served

LOCATION = f"s3://{config.ARTIFACT_BUCKET}/models/m-1/artifacts"


@pytest.fixture(autouse=True)
def _connected(server, connect):
    connect(config.MLFLOW_CONNECTION, conn_type="http", host=server.url)


@pytest.mark.parametrize(
    ("status", "text", "address"),
    [
        (200, "", "mlflow-artifacts:/models/m-1/artifacts"),
        (404, "", LOCATION),
        (500, "a server that keeps artifacts in another bucket", LOCATION),
        (503, "disabled due to the mlflow server running with `--no-serve-artifacts`", LOCATION),
        (503, "", None),
    ],
)
def test_where_a_model_can_be_had_without_access_to_s3(server, status, text, address):
    server.answer = status, text

    if address:
        assert served(LOCATION) == address
    else:
        with pytest.raises(requests.HTTPError) as error:
            served(LOCATION)
        assert not is_permanent(error.value)
