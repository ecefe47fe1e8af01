"""Real environments, built by uv from a package that is made here: nothing is downloaded."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from include import config
from include.operators import prediction_environment as module
from include.operators.prediction_environment import folder, is_intact, prediction_environment


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """Where the environments of a test are: a path with a space in it."""
    monkeypatch.setenv("PREDICTION_ENVIRONMENTS", str(tmp_path / "kept here"))
    return tmp_path / "kept here"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> str:
    """The requirement of a package with a single module, which answers 42."""
    path = tmp_path_factory.mktemp("wheels") / "tiny_answer-1.0-py3-none-any.whl"
    described = "tiny_answer-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_answer.py", "answer = 42\n")
        archive.writestr(f"{described}/METADATA", "Metadata-Version: 2.1\nName: tiny-answer\nVersion: 1.0\n")
        archive.writestr(f"{described}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{described}/RECORD", "")
    return f"tiny-answer @ {path.as_uri()}"


@pytest.fixture
def build(wheel):
    """Makes sure of an environment and returns its Python. Other `name`s make it another one."""

    def build(name: str = "", **arguments) -> Path:
        with prediction_environment(f"{wheel}\n# {name}", **arguments) as python:
            return python

    return build


@pytest.fixture
def built(caplog):
    """How many environments have been built."""
    caplog.set_level(logging.INFO)
    return lambda: caplog.text.count("Building an environment")


def answer(python: Path) -> str:
    return subprocess.check_output([python, "-c", "import tiny_answer; print(tiny_answer.answer)"], text=True).strip()


def names(place: Path) -> set[str]:
    return {path.name for path in place.iterdir() if path.is_dir()}


def home(python: Path) -> Path:
    return python.parent.parent


def replace(file: Path, text: str) -> None:
    """Writes a file of its own: uv links those of an environment to its cache, where they shall stay as they are."""
    file.unlink()
    file.write_text(text)


def module_file(python: Path) -> Path:
    return next(home(python).glob("lib/*/site-packages/tiny_answer.py"))


def test_it_holds_the_requirements_and_nothing_else(build, place):
    python = build()

    assert home(python).parent == place
    assert answer(python) == "42"
    assert subprocess.run([python, "-c", "import airflow"], capture_output=True).returncode == 1
    assert names(place) == {home(python).name}


def test_it_is_built_once_and_found_again(build, built):
    assert build() == build()

    assert built() == 1


def test_the_order_of_lines_and_blank_ones_make_no_difference(wheel, built):
    with prediction_environment(f"# a\n{wheel}") as one, prediction_environment(f"\n {wheel} \r\n\n# a\n") as two:
        assert one == two

    assert built() == 1


def test_other_requirements_make_another_one(build, built):
    assert build("a") != build("b")

    assert built() == 2


def test_processes_at_once_build_once(wheel, place):
    code = f"""if True:
        import logging
        from include.operators.prediction_environment import prediction_environment
        logging.basicConfig(level="INFO")
        with prediction_environment({wheel!r}) as python:
            print(python)
    """
    command = [sys.executable, "-c", code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": config.INCLUDE.parent}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]

    outputs = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len({python for python, _ in outputs}) == 1
    assert sum(log.count("Building an environment") for _, log in outputs) == 1
    assert answer(Path(outputs[0][0].strip())) == "42"


def test_who_comes_while_it_is_built_waits(build, place):
    python = build()
    with home(python).with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=build)
        waiting.start()
        waiting.join(timeout=0.2)
        assert waiting.is_alive()

    waiting.join(timeout=10)
    assert not waiting.is_alive()


def test_several_use_it_at_once(wheel):
    with prediction_environment(wheel) as one, prediction_environment(wheel) as two:
        assert one == two


def test_what_was_left_half_built_is_replaced(build, place):
    python = build()
    leftover = place / f"unfinished-{home(python).name}"
    shutil.move(home(python), leftover)
    (leftover / "half of a file").touch()
    module_file(leftover / "bin" / "python").unlink()

    assert answer(build()) == "42"
    assert not (home(python) / "half of a file").exists()
    assert names(place) == {home(python).name}


def test_what_a_killed_task_left_of_another_one_is_removed(build, place):
    leftover = place / f"unfinished-{'0' * 16}"
    leftover.mkdir(parents=True)

    build()

    assert not leftover.exists()


def test_what_another_task_is_building_stays(build, place):
    under_way = place / f"unfinished-{'0' * 16}"
    under_way.mkdir(parents=True)
    with (place / f"{'0' * 16}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        build()

    assert under_way.exists()


def test_without_its_python_it_is_built_anew(build, built):
    python = build()
    python.unlink()

    assert answer(build()) == "42"
    assert built() == 2


def test_a_python_that_has_gone_elsewhere(build, built):
    python = build()
    python.unlink()
    python.symlink_to("/no/such/python")

    assert answer(build()) == "42"
    assert built() == 2


def test_it_is_built_anew_on_demand(build, built):
    python = build()
    replace(module_file(python), "answer = 41\n")

    assert answer(build(rebuild=True)) == "42"
    assert built() == 2


def test_intact(build):
    python = build()
    answer(python)

    assert is_intact(python)


@pytest.mark.parametrize(
    "harm",
    [
        lambda python: replace(module_file(python), "answer"),
        lambda python: module_file(python).unlink(),
        lambda python: [shutil.rmtree(path) for path in module_file(python).parent.glob("*.dist-info")],
        lambda python: [shutil.rmtree(module_file(python).parent), (home(python) / "lib").mkdir(exist_ok=True)],
        lambda python: python.unlink(),
        lambda python: shutil.rmtree(home(python)),
    ],
    ids=["a file cut short", "a file gone", "a description gone", "all packages gone", "no Python", "nothing there"],
)
def test_not_intact(harm, build):
    python = build()

    harm(python)

    assert not is_intact(python)


def test_bytecode_may_change(build):
    python = build()
    for compiled in home(python).rglob("*.pyc"):
        compiled.unlink()

    assert is_intact(python)


def test_the_most_recently_used_are_kept(build, place):
    first, second, third = (build(name) for name in "abc")
    for age, python in ((30, first), (20, second), (10, third)):
        os.utime(home(python), (0, 1_000_000_000 - age))

    build("a")
    fourth = build("d")

    assert module.KEEP == 3
    assert names(place) == {home(python).name for python in (first, third, fourth)}


def test_one_in_use_is_kept(wheel, build, place, monkeypatch):
    monkeypatch.setattr(module, "KEEP", 1)
    with prediction_environment(wheel) as in_use:
        os.utime(home(in_use), (0, 0))
        for name in "ab":
            build(name)

        assert answer(in_use) == "42"
        assert len(names(place)) == 2

    assert len(names(place)) == 1


def test_what_is_not_ours_is_kept(build, place, monkeypatch):
    monkeypatch.setattr(module, "KEEP", 1)
    theirs = [place / "photos", place / ".config", place / ("f" * 40)]
    for path in theirs:
        path.mkdir(parents=True)

    for name in "ab":
        build(name)

    assert all(path.exists() for path in theirs)
    assert len(names(place)) == 1 + len(theirs)


def test_several_may_remove_old_ones_at_once(place):
    place.mkdir()
    failed = []

    def remove():
        try:
            module._remove_old(place)
        except Exception as error:
            failed.append(error)

    for _ in range(10):
        for number in range(40):
            (place / f"{number:016x}").mkdir(exist_ok=True)
        threads = [threading.Thread(target=remove) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert failed == []


def test_what_cannot_be_installed(place, wheel, built):
    with (
        pytest.raises(RuntimeError) as error,
        prediction_environment("gone @ file:///no/such/gone-1.0-py3-none-any.whl"),
    ):
        pytest.fail("nothing was built")

    assert "could not be built" in str(error.value)
    assert "/no/such/gone-1.0-py3-none-any.whl" in str(error.value)  # as uv says it
    assert names(place) == set()
    with prediction_environment(wheel) as python:
        assert answer(python) == "42"


def test_what_cannot_be_read_as_requirements(place):
    with pytest.raises(RuntimeError, match="could not be built"), prediction_environment("no requirement at all"):
        pytest.fail("nothing was built")

    assert names(place) == set()


def test_an_error_of_the_user_is_the_users_own(wheel, build, place):
    with pytest.raises(ZeroDivisionError), prediction_environment(wheel):
        1 / 0  # noqa: B018

    assert len(names(place)) == 1


def test_where_they_are_kept(monkeypatch, tmp_path):
    assert folder() == tmp_path / "kept here"

    monkeypatch.delenv("PREDICTION_ENVIRONMENTS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder() == tmp_path / ".cache" / "prediction-environments"
