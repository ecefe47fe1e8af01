"""The commands behind `make run`, `make stop`, `make status`, `make serve` and `make clean`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape

from include.errors import ConfigurationError
from include.local_stack.install import ROOT
from include.local_stack.pipeline import Pipeline, PipelineError
from include.local_stack.services import StackError, no_proxy
from include.local_stack.stack import NOT_UP, S3_LOGIN, Stack
from include.modeling.amounts import are_many, rows_used, with_spread

console = Console(highlight=False, soft_wrap=True)


def run(stack: Stack) -> None:
    """Start what isn't up, run the three DAGs once and print a summary. The stack stays up."""
    stack.start()
    pipeline = Pipeline(stack.url("airflow"), verbose=bool(os.environ.get("VERBOSE")))
    run_id = pipeline.trigger()
    started = time.monotonic()
    shown = ""
    with console.status("") as status:  # a line that is updated on a terminal, nothing elsewhere
        for progress in pipeline.watch(run_id):
            line = escape("  ".join(map(str, progress)))
            timed = f"{time.monotonic() - started:4.0f} s  {line}"
            status.update(timed)
            if line != shown and not console.is_terminal:
                console.print(timed)
                shown = line
    summarise(stack, run_id, time.monotonic() - started)


def summarise(stack: Stack, run_id: str, seconds: float) -> None:
    """Print what the run has created."""
    from include import config

    created = model(f"{stack.url('mlflow')}/api/2.0/mlflow", run_id)
    plots = f"{(config.PLOTS / config.PLOT_FILE).relative_to(ROOT)} (in-sample), out_of_fold.png"
    console.print(f"\nAll three DAGs succeeded in {seconds:.0f} s.\n")
    show(created | {"Plots": plots} | addresses(stack))
    console.print("\nThe stack stays up: make stop stops it, make run runs the DAGs again.")


def model(api: str, run_id: str) -> dict[str, str]:
    """Describe the model that a run of feature_eng has led to, according to the MLflow of this stack."""
    from include import config  # here, so that the stack can be stopped even if this file is broken

    of_this_run = {"filter": f"tags.pipeline_run = '{run_id}'"}
    found = requests.get(f"{api}/model-versions/search", params=of_this_run, timeout=30).json().get("model_versions")
    if not found:
        return {"Model": "none here: mlflow_default leads to another MLflow, or a later training covers this run"}
    version = found[0]
    training = run_data(api, version["run_id"])
    read = run_data(api, training["tags"]["features_run"])["params"]
    left_out = int(read["rows_left_out"])
    many = are_many(left_out, left_out + int(read["rows"])) and not config.SCHEMA.keep_gaps
    hint = "; ROWS_WITH_GAPS in include/config.py can keep those" if many else ""
    metrics = training["metrics"]
    error = with_spread(metrics["cv_rmse"], metrics["cv_rmse_std"], config.TARGET_UNIT)
    tags = {tag["key"]: tag["value"] for tag in version["tags"]}
    return {
        "Data": rows_used(read, config.ROW) + hint,
        "Model": f"{version['name']}, version {version['version']}, stage {version['current_stage']}",
        "Alias": tags["promotion"],
        "Error": f"RMSE {error} on {config.ROW}s it has not seen, mean and spread over the folds",
    }


def run_data(api: str, run_id: str) -> dict[str, dict[str, Any]]:
    """Return the `metrics`, `params` and `tags` of an MLflow run, by name."""
    data = requests.get(f"{api}/runs/get", params={"run_id": run_id}, timeout=30).json()["run"]["data"]
    return {kind: {item["key"]: item["value"] for item in items} for kind, items in data.items()}


def addresses(stack: Stack) -> dict[str, str]:
    """Return the addresses of the services, with their logins."""
    address = {name: f"http://localhost:{port}" for name, port in stack.ports.items()}
    login = " / ".join(S3_LOGIN.values()) if stack.s3_login() == S3_LOGIN else "the login of aws_conn"
    return {
        "Airflow": f"{address['airflow']}  (admin / admin)",
        "MLflow": address["mlflow"],
        "S3": f"{address['s3']}  (API, no web page; {login})",
    }


def show(lines: dict[str, str]) -> None:
    """Print lines, each with its title in front of it."""
    for title, text in lines.items():
        console.print(f"  [bold]{title:<9}[/] {escape(text)}")


def serve(stack: Stack) -> None:
    """Serve the champion until Ctrl-C."""
    from include import config
    from include.local_stack import serve  # imports pandas

    serve.serve(stack, config.REGISTERED_MODEL)


def stop(stack: Stack) -> None:
    """Stop every process of the stack."""
    running = stack.is_up() or any(stack.processes())
    console.print("stopping the services" if running else "nothing to stop: no service is running")
    stack.stop()


def clean(stack: Stack) -> None:
    """Stop the stack and delete its data."""
    console.print("deleting the services' data; what is installed stays, and so do the plots")
    stack.clean()


def status(stack: Stack) -> None:
    """Print what is up, and where."""
    show(stack.status())
    if stack.is_up():
        show(addresses(stack))


def prune(stack: Stack, *options: str) -> None:
    """Delete what old runs left between the tasks, by the options of include/orchestration/prune.py."""
    if not stack.is_up():
        raise StackError(NOT_UP)
    command = [sys.executable, "-m", "include.orchestration.prune", *options]
    if subprocess.run(command, cwd=ROOT, env=stack.environment()).returncode:
        raise StackError("Pruning failed: see the error above.")


def main(command: str, *arguments: str) -> int:
    """Run a command, and return the exit status."""
    os.environ["no_proxy"] = no_proxy()
    variables = ROOT / ".env"
    commands: dict[str, Callable[..., None]] = {
        "run": run, "status": status, "serve": serve, "prune": prune, "stop": stop, "clean": clean,
    }  # fmt: skip
    try:
        stack = Stack(variables=variables if variables.exists() else ROOT / ".env_example")
        commands[command](stack, *arguments)
    except SyntaxError as error:
        console.print(f"\n[red bold]Failed.[/] {error.filename}, line {error.lineno}: {error.msg}. Correct it.")
        return 1
    except requests.ConnectionError as error:
        console.print(
            f"\n[red bold]Failed.[/] A service no longer answers: {escape(str(error))}. Check it with: make status"
        )
        return 1
    except (StackError, PipelineError, ConfigurationError, requests.RequestException) as error:
        console.print(f"\n[red bold]Failed.[/] {escape(str(error))}")
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted. What has been started keeps running; make stop stops it.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
