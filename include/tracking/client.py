"""The MLflow provider's REST hook, with time limits and errors that say what is wrong."""

from __future__ import annotations

from typing import Any

import requests
from mlflow_provider.hooks import client
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from include.errors import ConfigurationError
from include.orchestration.retries import may_pass

TIMEOUT = (5, 30)  # seconds to connect, and between two bytes of the answer


class _LimitedTime(HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(request, *args, **(kwargs | {"timeout": kwargs.get("timeout") or TIMEOUT}))


class MLflowClientHook(client.MLflowClientHook):
    """Talks to MLflow's REST API (https://mlflow.org/docs/latest/rest-api.html)."""

    def get_conn(self, headers: dict[Any, Any] | None = None) -> requests.Session:
        session = super().get_conn(headers)
        session.mount("http://", adapter := _LimitedTime(max_retries=Retry(connect=2, read=0, backoff_factor=0.5)))
        session.mount("https://", adapter)
        try:
            requests.Request("GET", self.base_url).prepare()
            session.get_adapter(self.base_url)
        except ValueError as error:
            raise ConfigurationError(
                f"Connection {self.mlflow_conn_id!r} doesn't have MLflow's address: {error}. "
                "Give it one like http://mlflow:5000."
            ) from None
        return session

    @property
    def address(self) -> str:
        """The server's address with its port, as the connection has it."""
        self.get_conn()
        return self.base_url.rstrip("/")

    def run(self, endpoint: str | None = None, *args: Any, **kwargs: Any) -> requests.Response:
        """Returns MLflow's answer, which may be an error of its API, like 404 for what isn't there.

        Raises ConfigurationError where the connection has no address, the login is refused or something other than
        MLflow answers, and HTTPError for what may pass.
        """
        response = super().run(endpoint, *args, **kwargs)
        if response.status_code in (401, 403):
            raise ConfigurationError(
                f"What answers at {self.base_url} refuses the login of connection {self.mlflow_conn_id!r} "
                f"(status {response.status_code}): {response.text[:200].strip()}. Correct login and password, or host "
                "and port if that is not MLflow. If it is the host that MLflow refuses, start it with this one among "
                "its --allowed-hosts."
            )
        if may_pass(response.status_code):
            response.raise_for_status()
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or not (response.ok or "error_code" in answer):
            raise ConfigurationError(
                f"What answers at {self.base_url} is not MLflow: /{endpoint} gives status {response.status_code} and "
                f"{response.text[:60]!r}. Correct host and port of connection {self.mlflow_conn_id!r}."
            )
        return response

    def call(self, endpoint: str, absent_is_none: bool = False, **parameters: Any) -> dict[str, Any] | None:
        """Calls `api/2.0/mlflow/<endpoint>` and returns its answer; None for what isn't there, if that is asked for.

        Raises HTTPError with MLflow's own message for any other error.
        """
        response = self.run(f"api/2.0/mlflow/{endpoint}", request_params=parameters)
        answer = response.json()
        if absent_is_none and answer.get("error_code") == "RESOURCE_DOES_NOT_EXIST":
            return None
        if not response.ok:
            raise requests.HTTPError(f"MLflow: {answer.get('message', response.text)}", response=response)
        return answer
