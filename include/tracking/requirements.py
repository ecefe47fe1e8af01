"""The packages that a logged model needs, pinned down to the last one."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution, distributions, packages_distributions

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from include.errors import ConfigurationError

log = logging.getLogger(__name__)

# What it takes to load a scikit-learn model and to call it. Pandas is what MLflow hands the rows over in.
MODEL_PACKAGES = ("cloudpickle", "mlflow-skinny", "pandas", "scikit-learn")


@functools.cache
def pinned_requirements(model_class: str) -> list[str]:
    """Return `name==version` of everything that a model of this class needs, as it is installed here."""
    module = model_class.partition(".")[0]
    own = [] if module == "sklearn" else packages_distributions().get(module, [])
    return pinned([*MODEL_PACKAGES, *own])


def add_to_requirements(model_uri: str, packages: Sequence[str], aws_conn_id: str) -> list[str]:
    """Add `packages` and all that they depend on to the requirements.txt of a logged model.

    A package that is named there already stays as it is pinned, so that another call adds nothing.

    Args:
        model_uri: Where the model's files are, `s3://<bucket>/<folder>`.
        packages: Names; each is pinned as it is installed here.
        aws_conn_id: The connection to the S3 store.

    Returns:
        The added lines.
    """
    bucket, key = S3Hook.parse_s3_url(f"{model_uri}/requirements.txt")
    hook = S3Hook(aws_conn_id)
    lines = hook.read_key(key, bucket).splitlines()
    present = {_name(line) for line in lines}
    missing = [line for line in pinned(packages) if _name(line) not in present]
    if missing:
        text = "\n".join([*lines, *missing]) + "\n"
        hook.load_string(text, key, bucket, replace=True)
        log.info("Added to requirements.txt: %s", ", ".join(missing))
    else:
        log.info("Nothing to add to requirements.txt: it names all of %s", ", ".join(packages))
    return missing


def _name(line: str) -> str | None:
    """Return the package that a line of requirements.txt names, if it names one: options and paths do not."""
    try:
        return canonicalize_name(Requirement(line.partition(" #")[0]).name)
    except InvalidRequirement:
        return None


def pinned(names: Sequence[str]) -> list[str]:
    """Return `name==version` of the packages and of all that they depend on, sorted by name.

    Raises:
        ConfigurationError: One of the packages is not installed here.
    """
    for name in names:
        if not any(distributions(name=Requirement(name).name)):
            raise ConfigurationError(f"Package {name!r} is not installed here. Add it to requirements.txt.")
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
