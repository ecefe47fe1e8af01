from __future__ import annotations

import sys
from importlib.metadata import version

import pytest

from include.errors import ConfigurationError
from include.tracking.requirements import _name, pinned, pinned_requirements


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Puts packages, of which there is just the description, on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(name: str, number: str, *requires: str, module: str = "") -> None:
        described = tmp_path / f"{name.replace('-', '_')}-{number}.dist-info"
        described.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {number}"]
        described.joinpath("METADATA").write_text("\n".join([*lines, *(f"Requires-Dist: {line}" for line in requires)]))
        described.joinpath("top_level.txt").write_text(module or name)

    return make


def test_all_that_a_package_needs(package):
    package("unit-a", "1.0", "unit-b>=2", "unit_C")
    package("unit-b", "2.1", "unit-a")  # a circle
    package("unit-c", "3.0", "unit-b")
    package("unit-other", "9.0")

    assert pinned(["unit-a"]) == ["unit-a==1.0", "unit-b==2.1", "unit-c==3.0"]


def test_extras_only_where_they_are_asked_for(package):
    package("unit-a", "1.0", 'unit-b; extra == "fast"', 'unit-c; extra == "slow"')
    package("unit-b", "2.0")
    package("unit-c", "3.0")
    package("unit-d", "4.0", "unit-a[fast]", "unit-a")

    assert pinned(["unit-a"]) == ["unit-a==1.0"]
    assert pinned(["unit-a[slow]"]) == ["unit-a==1.0", "unit-c==3.0"]
    assert pinned(["unit-d"]) == ["unit-a==1.0", "unit-b==2.0", "unit-d==4.0"]


def test_what_another_system_needs_is_left_out(package):
    package("unit-a", "1.0", 'unit-b; sys_platform == "beos"', f'unit-c; sys_platform == "{sys.platform}"')
    package("unit-b", "2.0")
    package("unit-c", "3.0")

    assert pinned(["unit-a"]) == ["unit-a==1.0", "unit-c==3.0"]


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(ConfigurationError, match="unit-not-installed"):
        pinned(["unit-not-installed"])


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("Unit_A==1.0", "unit-a"),
        ("unit-a[fast]>=1; python_version > '3'  # why", "unit-a"),
        ("unit-a @ file:///unit_a-1.0-py3-none-any.whl", "unit-a"),
        ("# unit-a", None),
        ("--extra-index-url https://example.com/simple", None),
        ("code/unit_a-1.0-py3-none-any.whl", None),
        ("", None),
    ],
)
def test_the_package_that_a_line_names(line, name):
    assert _name(line) == name


def test_a_dependency_that_is_not_here_is_left_out(package):
    package("unit-a", "1.0", "unit-not-installed")

    assert pinned(["unit-a"]) == ["unit-a==1.0"]


def test_a_model_of_scikit_learn():
    versions = dict(line.split("==") for line in pinned_requirements("sklearn.linear_model.RidgeCV"))

    for name in ("cloudpickle", "mlflow-skinny", "pandas", "scikit-learn", "numpy", "scipy"):
        assert versions[name] == version(name)
    assert {"boto3", "pyarrow"}.isdisjoint(versions)  # what the prediction environment needs is added later
    assert "mlflow" not in versions  # large, and not needed to predict
    assert "apache-airflow" not in versions
    assert list(versions) == sorted(versions)


def test_a_model_of_another_package(package):
    package("unit-boost", "1.0", "unit-b", module="boost")
    package("unit-b", "2.0")

    added = set(pinned_requirements("boost.sklearn.Regressor")) - set(pinned_requirements("sklearn.svm.SVR"))

    assert added == {"unit-boost==1.0", "unit-b==2.0"}
