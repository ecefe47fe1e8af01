"""The MLflow provider's registry operators, which can run again and say what is wrong.

They keep the provider's parameters and template fields, and make the requests with the hook of include/tracking.
"""

from __future__ import annotations

from typing import Any

from mlflow_provider.operators import registry

from include.operators.links import VersionLink
from include.orchestration.retries import retry_policy
from include.tracking.client import MLflowClientHook
from include.tracking.pages import link_version, mlflow_page


class CreateRegisteredModelOperator(registry.CreateRegisteredModelOperator):
    """Registers a model. One that exists already stays as it is."""

    @retry_policy()
    def execute(self, context: dict[str, Any]) -> Any:
        """Return MLflow's answer, which has the `registered_model`."""
        parameters = ("name", "description", "tags")
        created = _post(self, "registered-models/create", *parameters, none_for="RESOURCE_ALREADY_EXISTS")
        hook = MLflowClientHook("GET", mlflow_conn_id=self.mlflow_conn_id)
        answer = created or hook.call("registered-models/get", name=self.name) or {}
        answer["registered_model"].pop("latest_versions", None)  # with their descriptions, too long for an XCom
        return answer


class CreateModelVersionOperator(registry.CreateModelVersionOperator):
    """Creates a version of a run's model. A run that has one already gets no second.

    Args:
        model_id: The id of the logged model, whose page in MLflow then says that it is registered. `source` has to be
            its place all the same.
        kwargs: What the provider's operator takes.
    """

    template_fields = (*registry.CreateModelVersionOperator.template_fields, "model_id")
    operator_extra_links = (VersionLink(),)

    def __init__(self, *, model_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_id = model_id

    @retry_policy()
    def execute(self, context: dict[str, Any]) -> Any:
        """Return MLflow's answer, which has the `model_version`."""
        hook = MLflowClientHook("GET", mlflow_conn_id=self.mlflow_conn_id)
        found = hook.call("model-versions/search", filter=f"run_id = '{self.run_id}'") or {}
        for version in found.get("model_versions", []):
            if version["name"] == self.name:
                self.log.info("Run %s has version %s already", self.run_id, version["version"])
                link_version(context["ti"], self.name, version["version"])
                return {"model_version": version}
        parameters = ("name", "source", "model_id", "run_id", "tags", "run_link", "description")
        created = _post(self, "model-versions/create", *parameters)
        number = created["model_version"]["version"]
        page = link_version(context["ti"], self.name, number)
        self.log.info("Created version %s of %s: %s", number, self.name, mlflow_page(page, self.mlflow_conn_id))
        return created


class TransitionModelVersionStageOperator(registry.TransitionModelVersionStageOperator):
    """Moves a version to a stage. It does not archive a newer version: the task of an older run may be run again."""

    operator_extra_links = (VersionLink(),)

    @retry_policy()
    def execute(self, context: dict[str, Any]) -> Any:
        """Return MLflow's answer, which has the `model_version` that is in the stage now."""
        hook = MLflowClientHook("GET", mlflow_conn_id=self.mlflow_conn_id)
        found = hook.call("registered-models/get", name=self.name) or {}
        newest = found["registered_model"].get("latest_versions", [])  # of each stage
        newer = [each for each in newest if int(each["version"]) > int(self.version)]
        kept = next((each for each in newer if each["current_stage"] == self.stage.capitalize()), None)
        if kept and self.archive_existing_versions:
            self.log.info("Stage %s keeps version %s, which is newer", self.stage, kept["version"])
            answer = {"model_version": kept}
        else:
            parameters = ("name", "version", "stage", "archive_existing_versions")
            answer = _post(self, "model-versions/transition-stage", *parameters)
            self.log.info("Version %s of %s is in stage %s", self.version, self.name, self.stage)
        link_version(context["ti"], self.name, self.version)
        return answer


def _post(operator: Any, endpoint: str, *parameters: str, none_for: str | None = None) -> Any:
    """Call MLflow with those of an operator's parameters that are set."""
    values = {name: getattr(operator, name) for name in parameters}
    hook = MLflowClientHook("POST", mlflow_conn_id=operator.mlflow_conn_id)
    return hook.call(endpoint, none_for, **{name: value for name, value in values.items() if value})
