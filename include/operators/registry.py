"""The MLflow provider's registry operators, made safe to run again."""

from __future__ import annotations

from typing import Any

from mlflow_provider.operators import registry

from include.operators.links import VersionLink
from include.orchestration.retries import fail_for_good
from include.tracking.client import MLflowClientHook, StrictMLflowClientHook

registry.MLflowClientHook = StrictMLflowClientHook  # the operators look their hook up there


class CreateRegisteredModelOperator(registry.CreateRegisteredModelOperator):
    """Registers a model. One that is there already is left as it is."""

    @fail_for_good()
    def execute(self, context: dict[str, Any]) -> Any:
        hook = MLflowClientHook("GET", mlflow_conn_id=self.mlflow_conn_id)
        return hook.call("registered-models/get", absent_is_none=True, name=self.name) or super().execute(context)


class CreateModelVersionOperator(registry.CreateModelVersionOperator):
    """Makes a version of a run's model. A run that has one already gets no second."""

    operator_extra_links = (VersionLink(),)

    @fail_for_good()
    def execute(self, context: dict[str, Any]) -> Any:
        hook = MLflowClientHook("GET", mlflow_conn_id=self.mlflow_conn_id)
        found = hook.call("model-versions/search", filter=f"run_id = '{self.run_id}'") or {}
        for version in found.get("model_versions", []):
            if version["name"] == self.name:
                self.log.info("Run %s has version %s already", self.run_id, version["version"])
                return {"model_version": version}
        made = super().execute(context)
        self.log.info("Run %s becomes version %s of %s", self.run_id, made["model_version"]["version"], self.name)
        return made


class TransitionModelVersionStageOperator(registry.TransitionModelVersionStageOperator):
    """Moves a version to a stage."""

    operator_extra_links = (VersionLink(),)

    @fail_for_good()
    def execute(self, context: dict[str, Any]) -> Any:
        moved = super().execute(context)
        self.log.info("Version %s of %s is in stage %s", self.version, self.name, self.stage)
        return moved
