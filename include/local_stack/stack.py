"""Starts, watches and stops the services. All their state lives in one folder, `.local/` for `make run`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
from dotenv import dotenv_values
from supervisor.xmlrpc import SupervisorTransport

from include.local_stack import services
from include.local_stack.install import LOCKS, MLFLOW_ENVIRONMENT, ROOT
from include.local_stack.mlflow_server import s3_variables
from include.local_stack.services import LOOPBACK, PROGRAM, SUPERVISOR, Service, StackError, write_private

PORTS = {"airflow": ("AIRFLOW_PORT", 8080), "mlflow": ("MLFLOW_PORT", 5000), "s3": ("S3_PORT", 9000)}
STORES = ("postgres", "s3", "mlflow")
AIRFLOW = ("scheduler", "webserver", "triggerer")
SECRETS = ("postgres_password", "fernet_key", "webserver_secret", "s3_secret")
S3_LOGIN = {"AWS_ACCESS_KEY_ID": "minioadmin", "AWS_SECRET_ACCESS_KEY": "minioadmin"}
DESTINATION = "MLFLOW_ARTIFACTS_DESTINATION"
NOT_UP = "The stack without Docker is not up: make run. (With Docker, see docs/deployment.md.)"
PATIENCE = 180  # seconds that a service may take to come up


class Stack:
    """The services whose state lives in the folder `home`.

    `variables` is the file of variables that the containers get, too; this stack's addresses replace those in it.
    `ports` are numbers for "airflow", "mlflow" and "s3"; others come from the shell's variables or the defaults.
    """

    def __init__(
        self,
        home: Path = ROOT / ".local",
        variables: Path = ROOT / ".env_example",
        ports: dict[str, int] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.logs = self.home / "logs"
        self.variables = variables
        in_shell = {name: port_in(variable) for name, (variable, _) in PORTS.items()}
        self._requested_ports = {name: port for name, port in in_shell.items() if port} | (ports or {})
        self._state_file = self.home / "stack.json"
        self._state: dict[str, Any] = json.loads(self._state_file.read_text()) if self._state_file.exists() else {}

    def start(self, *names: str) -> None:
        """Start those of these services (all, if none is named) that aren't up, and return when they are ready."""
        names = names or STORES + AIRFLOW
        if self.is_up():
            self._check_settings()
        else:
            self.stop()  # what a crash has left
            self._start_supervisor()
        stores, airflow = ([name for name in names if name in group] for group in (STORES, AIRFLOW))
        self._bring_up(stores)
        if airflow:
            self._wait_for("postgres")
            self.prepare_airflow()
            self._bring_up(airflow)
        self._wait_for(*names)

    def stop(self) -> None:
        """Stop every process of the stack, including those that lost their supervisor in a crash."""
        if self.is_up():
            with self._supervisor() as supervisor:
                supervisor.shutdown()
            self._wait(lambda: not self.is_up(), "the services to stop")
        leftovers = list(self.processes())
        for end in (psutil.Process.terminate, psutil.Process.kill):
            for process in leftovers:
                with contextlib.suppress(psutil.NoSuchProcess):
                    end(process)
            leftovers = psutil.wait_procs(leftovers, timeout=10)[1]
        services.remove_stale_sockets()

    def clean(self) -> None:
        """Stop the stack and delete its data; what is installed stays."""
        self.stop()
        for item in self.home.glob("*"):
            if item != MLFLOW_ENVIRONMENT:
                shutil.rmtree(item) if item.is_dir() else item.unlink()
        self._state = {}

    def status(self) -> dict[str, str]:
        """Return each service's state, in the supervisor's words."""
        states = dict.fromkeys(STORES + AIRFLOW, "STOPPED")
        if self.is_up():
            with self._supervisor() as supervisor:
                states |= {process["name"]: process["statename"] for process in supervisor.getAllProcessInfo()}
        return states

    def is_up(self) -> bool:
        """Return whether the supervisor answers. Wait for one that is shutting down."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with self._supervisor() as supervisor:
                    return bool(supervisor.getPID())
            except xmlrpc.client.Fault:  # it is shutting down
                time.sleep(0.1)
            except OSError:
                return False
        raise StackError(f"The services have not stopped in {PATIENCE} s. The logs are in {self.logs}")

    def process(self, name: str) -> psutil.Process:
        """Return the process of a service that is up."""
        with self._supervisor() as supervisor:
            return psutil.Process(supervisor.getProcessInfo(name)["pid"])

    def processes(self) -> Iterator[psutil.Process]:
        """Yield the processes that work in the stack's folder, except those that a person started in a terminal."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                at_home = self.home in Path(process.cwd(), "-").parents
                if at_home and not process.terminal() and process.pid != os.getpid():
                    yield process

    # --- addresses and variables ---

    @property
    def ports(self) -> dict[str, int]:
        """The port of each service."""
        return self._state["ports"]

    def url(self, name: str) -> str:
        """Return the address of a service."""
        return f"http://{LOOPBACK}:{self.ports[name]}"

    def shared_variables(self) -> dict[str, str]:
        """Return the variables that the containers get, with this stack's addresses."""
        text = self.variables.read_text()
        for service, host in {"s3": "minio:9000", "mlflow": "mlflow:5000"}.items():
            text = text.replace(f"http://{host}", self.url(service))
        return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text), interpolate=False).items()}

    def database(self) -> str:
        """Return the address of Airflow's metadata database."""
        return f"postgresql://postgres:{self._state['postgres_password']}@{LOOPBACK}:{self.ports['postgres']}/postgres"

    def s3_variables(self) -> dict[str, str]:
        """Return the S3 store of `aws_conn`, as AWS's and MLflow's variables; if that isn't JSON, this stack's own."""
        try:
            found = s3_variables(self.shared_variables().get("AIRFLOW_CONN_AWS_CONN", ""))
        except ValueError as error:
            raise StackError(
                f"AIRFLOW_CONN_AWS_CONN in {self.variables} is not valid JSON: {error}. (' #' begins a comment there.)"
            ) from None
        return S3_LOGIN | {"MLFLOW_S3_ENDPOINT_URL": self.url("s3")} if found is None else found

    def s3_login(self) -> dict[str, str]:
        """Return the credentials of this stack's own S3 store: those of `aws_conn`, if that leads here."""
        variables = self.s3_variables()
        leads_here = variables.get("MLFLOW_S3_ENDPOINT_URL") == self.url("s3")
        return {name: variables.get(name, value) if leads_here else value for name, value in S3_LOGIN.items()}

    def s3(self) -> Any:
        """Return a client of the S3 store."""
        import boto3  # `make run` and `make status` don't need it

        login = {name.lower(): value for name, value in self.s3_login().items()}
        return boto3.client("s3", endpoint_url=self.url("s3"), region_name="us-east-1", **login)

    def environment(self) -> dict[str, str]:
        """Return the environment of the services: without the shell's variables for Airflow, MLflow and AWS."""
        foreign = ("AIRFLOW", "MLFLOW_", "AWS_", "DATABRICKS_", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        return inherited | self.shared_variables() | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW_HOME": str(self.home / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__FAB__AUTH_RATE_LIMITED": "False",  # `make run` logs in each time, and loopback needs no limit
            "AIRFLOW__CORE__FERNET_KEY": self._state["fernet_key"],
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self.database(),
            "AIRFLOW__WEBSERVER__SECRET_KEY": self._state["webserver_secret"],
            "AIRFLOW__WEBSERVER__BASE_URL": f"http://localhost:{self.ports['airflow']}",  # for links in MLflow
            "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": LOOPBACK,
            "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(self.ports["airflow"]),
            "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.session,airflow.api.auth.backend.basic_auth",
            "no_proxy": "*" if sys.platform == "darwin" else services.no_proxy(),
            "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # as no_proxy=*: lets Airflow fork its tasks on macOS
        }  # fmt: skip

    # --- how it is done ---

    def choose_ports_and_secrets(self) -> None:
        """Choose the ports, and the secrets at the first start, of a stack that isn't up. Write them to its folder."""
        from cryptography.fernet import Fernet  # `make stop` and `make status` don't need it

        ports = {name: self._requested_ports.get(name, default) for name, (_, default) in PORTS.items()}
        for name, port in ports.items():
            variable, *others = [PORTS[each][0] for each in ports if ports[each] == port]
            if others:
                raise StackError(f"{variable} and {others[0]} are both {port}. Choose another port for one of them.")
            if not is_free(port):
                raise StackError(f"Port {port}, for {name}, is taken. Choose another: make run {variable}={port + 1}")
        postgres = self._state.get("ports", {}).get("postgres")
        if postgres is None or not is_free(postgres):
            postgres = free_port()
        secrets = {name: Fernet.generate_key().decode() for name in SECRETS}
        self._state = secrets | self._state | {"ports": ports | {"postgres": postgres}}
        self._state["fingerprints"] = self._fingerprints()
        self.home.mkdir(parents=True, exist_ok=True)
        write_private(self._state_file, json.dumps(self._state))

    def _start_supervisor(self) -> None:
        """Prepare the folder of a stack that isn't up and start a supervisor that knows all services."""
        self.choose_ports_and_secrets()
        for name in ("airflow", "logs", "mlflow", "postgres", "s3"):
            folder = self.home / name
            folder.mkdir(exist_ok=True)
            folder.chmod(0o700)  # no other account of this machine gets past the logins by reading the files
        services.prepare_s3(self.home / "s3")
        services.prepare_postgres(self.home / "postgres", self._state["postgres_password"])
        for left_by_a_crash in (self.home / "airflow").glob("*.pid"):
            left_by_a_crash.unlink()
        # If it is missing, Airflow writes its defaults there, with paths that are wrong once the project has moved.
        (self.home / "airflow" / "airflow.cfg").write_text("")
        configuration = SUPERVISOR
        for service in self._services():
            write_private(self.home / f"{service.name}.sh", service.script())
            configuration += PROGRAM.format(service=service)
        write_private(self.home / "supervisord.conf", configuration)
        command = [sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf"]
        subprocess.run(command, cwd=self.home, env=self.environment(), check=True, start_new_session=True)

    def _check_settings(self) -> None:
        """Raise StackError if this stack, which is up, was started with other ports or settings."""
        for name, port in self._requested_ports.items():
            if port != self.ports[name]:
                raise StackError(f"The stack is up, with {name} on port {self.ports[name]}. To move it: make stop")
        before, now = self._state["fingerprints"], self._fingerprints()
        changed = sorted(name for name in before | now if before.get(name) != now.get(name))
        if changed:
            raise StackError(
                f"The stack was started with other settings. Changed since then: {', '.join(changed)}. "
                "To use the new settings: make stop, then make run"
            )

    def _services(self) -> list[Service]:
        from include import config  # here, so that the stack can be stopped even if this file is broken

        destination = self.shared_variables().get(DESTINATION, config.ARTIFACTS_URL)
        return [
            services.postgres(self.home / "postgres", self.ports),
            services.s3(self.ports, self.s3_login(), self._state["s3_secret"]),
            services.mlflow(self.ports, destination, self.s3_variables()),
            *services.airflow(self.ports),
        ]

    def _fingerprints(self) -> dict[str, str]:
        """Return a hash of each setting that reaches a service only when it starts."""
        from include import config  # here, as above

        settings = self.shared_variables()
        settings[f"{DESTINATION} (ARTIFACTS_URL)"] = settings.pop(DESTINATION, config.ARTIFACTS_URL)
        settings["the project's folder"] = str(ROOT)
        settings["the installed packages"] = (LOCKS / "airflow.txt").read_text() + (LOCKS / "mlflow.txt").read_text()
        settings["the project's own code"] = Path(__file__).read_text() + Path(services.__file__).read_text()
        return {name: hashlib.sha256(value.encode()).hexdigest() for name, value in settings.items()}

    def prepare_airflow(self) -> None:
        """Migrate the metadata database and create the user admin, once."""
        done = self.home / "airflow" / f"prepared-{version('apache-airflow')}"
        if done.exists():
            return
        print("preparing Airflow's metadata database", flush=True)
        command = [sys.executable, "-m", "include.local_stack.metadata_database"]
        log = self.logs / "prepare.log"
        with log.open("w") as file:
            prepared = subprocess.run(command, cwd=self.home, env=self.environment(), stdout=file, stderr=file)
        if prepared.returncode:
            raise StackError(f"Airflow's database could not be prepared. {log}:\n{tail(log)}")
        done.touch()

    def _bring_up(self, names: list[str]) -> None:
        down = [name for name in names if self.status()[name] != "RUNNING"]
        if down:
            print(f"starting {', '.join(down)}", flush=True)
        with self._supervisor() as supervisor:
            for name in down:
                with contextlib.suppress(xmlrpc.client.Fault):  # is starting already
                    supervisor.startProcess(name, False)

    def _wait_for(self, *names: str) -> None:
        for service in self._services():
            if service.name in names:
                self._wait(partial(self._is_ready, service), service.name)

    def _is_ready(self, service: Service) -> bool:
        if self.status()[service.name] == "FATAL":
            log = self.logs / f"{service.name}.log"
            raise StackError(f"{service.name} does not start. The end of {log}:\n{tail(log)}")
        return service.ready()

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            if time.monotonic() > deadline:
                raise StackError(f"Timed out after {PATIENCE} s waiting for {what}. The logs are in {self.logs}")
            time.sleep(0.1)

    @contextlib.contextmanager
    def _supervisor(self) -> Iterator[Any]:
        """Yield the supervisor's XML-RPC interface. Named from its folder: the full path may be too long."""
        with contextlib.chdir(self.home):
            transport = SupervisorTransport(serverurl="unix://supervisor.sock")
            with xmlrpc.client.ServerProxy(f"http://{LOOPBACK}", transport=transport) as server:
                yield server.supervisor


def port_in(variable: str) -> int | None:
    """Return the port that a variable of the shell has; None without a value. Raises StackError if it isn't one."""
    text = os.environ.get(variable)
    if not text:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise StackError(f"{variable} is {text!r}, which is not a port. Set it to a number from 1 to 65535.")
    return int(text)


def is_free(port: int) -> bool:
    """Return whether no program listens on this port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return False  # by IPv6, or on a Mac, which lets two have one port
    with contextlib.suppress(OSError), contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((LOOPBACK, port))
        return True
    return False


def free_port() -> int:
    """Return a port that is free at the moment."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def free_ports() -> dict[str, int]:
    """Return ports for a stack that runs at the same time as that of `make run`."""
    return {name: free_port() for name in PORTS}


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log file."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(there is none)"
