"""The packages that a logged model needs, pinned down to the last one."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution, packages_distributions

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# What predicting takes: load the model from MLflow and S3, read and write Parquet.
PREDICTING = ("boto3", "cloudpickle", "mlflow-skinny", "pandas", "pyarrow", "scikit-learn")


def pinned_requirements(model_class: str) -> list[str]:
    """`name==version` of everything that a model of this class needs to predict, as it is installed here."""
    module = model_class.partition(".")[0]
    return pinned([*PREDICTING, *([] if module == "sklearn" else packages_distributions().get(module, []))])


def pinned(names: list[str]) -> list[str]:
    """`name==version` of the packages and of all that they depend on, sorted by name."""
    versions: dict[str, str] = {}
    waiting = [Requirement(name) for name in names]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, *sorted(requirement.extras)) in seen:
            continue
        seen.add((name, *sorted(requirement.extras)))
        try:
            package = distribution(name)
        except PackageNotFoundError:  # an optional one that isn't here
            continue
        versions[name] = package.version
        for line in package.requires or []:
            dependency = Requirement(line)
            extras = requirement.extras or {""}
            if dependency.marker is None or any(dependency.marker.evaluate({"extra": extra}) for extra in extras):
                waiting.append(dependency)
    return [f"{name}=={version}" for name, version in sorted(versions.items())]
