"""MLflow's REST API: the MLflow provider's hook, with time limits and errors that say what is wrong."""

from __future__ import annotations

from typing import Any

import requests
from mlflow_provider.hooks import client
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from include.errors import ConfigurationError
from include.orchestration.retries import is_transient_status

TIMEOUT = (5, 30)  # seconds to connect, and between two bytes of the answer


class _TimeLimitedAdapter(HTTPAdapter):
    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return super().send(request, *args, **(kwargs | {"timeout": kwargs.get("timeout") or TIMEOUT}))


class MLflowClientHook(client.MLflowClientHook):
    """A client of MLflow's REST API (https://mlflow.org/docs/latest/rest-api.html)."""

    def get_conn(self, headers: dict[Any, Any] | None = None) -> requests.Session:
        """Return a session with time limits that connects twice more before it gives up.

        Raises:
            ConfigurationError: If the connection has no usable address.
        """
        session = super().get_conn(headers)
        adapter = _TimeLimitedAdapter(max_retries=Retry(connect=2, read=0, backoff_factor=0.5))
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        try:
            requests.Request("GET", self.base_url).prepare()
            session.get_adapter(self.base_url)
        except ValueError as error:
            raise ConfigurationError(
                f"Connection {self.mlflow_conn_id!r} does not have MLflow's address: {error}. "
                "Give it one like http://mlflow:5000."
            ) from None
        return session

    @property
    def address(self) -> str:
        """The server's address with its port, as the connection has it."""
        self.get_conn()
        return self.base_url.rstrip("/")

    def run(self, endpoint: str | None = None, *args: Any, **kwargs: Any) -> requests.Response:
        """Return MLflow's answer, which may be an error of its API, such as 404 for something that does not exist.

        Raises:
            ConfigurationError: If the connection has no address, the login is rejected, or the server is not MLflow.
            requests.HTTPError: For a transient error.
        """
        response = super().run(endpoint, *args, **kwargs)
        if response.status_code in (401, 403):
            raise ConfigurationError(
                f"The server at {self.base_url} rejected the login of connection {self.mlflow_conn_id!r} "
                f"(status {response.status_code}): {response.text[:200].strip()}. Correct login and password, or host "
                "and port if that is not MLflow. If MLflow rejected the host name, start it with this one in its "
                "--allowed-hosts."
            )
        if is_transient_status(response.status_code):
            response.raise_for_status()
        try:
            answer = response.json()
        except requests.JSONDecodeError:
            answer = None
        if not isinstance(answer, dict) or not (response.ok or "error_code" in answer):
            raise ConfigurationError(
                f"The server at {self.base_url} is not MLflow: /{endpoint} returned status {response.status_code} and "
                f"{response.text[:60]!r}. Correct host and port of connection {self.mlflow_conn_id!r}."
            )
        return response

    def call(self, endpoint: str, none_for: str | None = None, **parameters: Any) -> dict[str, Any] | None:
        """Call `api/2.0/mlflow/<endpoint>` and return its answer; None if MLflow's error code is `none_for`.

        Raises:
            requests.HTTPError: For any other error, with MLflow's own message.
        """
        response = self.run(f"api/2.0/mlflow/{endpoint}", request_params=parameters)
        answer: dict[str, Any] = response.json()
        if response.ok:
            return answer
        if none_for and answer.get("error_code") == none_for:
            return None
        raise requests.HTTPError(f"MLflow: {answer.get('message', response.text)}", response=response)
