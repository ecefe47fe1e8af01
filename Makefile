# The stack without Docker, the tests and the tools. Everything is installed into the project: .venv/ and .local/.
MAKEFLAGS += --no-print-directory
LOCKS := include/local_stack/locks
STACK := .venv/bin/python -m include.local_stack

.DEFAULT_GOAL := help
.PHONY: help run serve stop status clean test test-fast test-image test-browser test-faults test-celery test-security test-endurance advisories screenshots bench prune lint format lock install install-dev

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: install ## install, start the stack, run the three DAGs, print a summary
	@$(STACK) run

serve: install ## answer HTTP requests with the champion, on SERVE_PORT (5002), until Ctrl-C
	@$(STACK) serve

stop: ## stop the stack and every process it started
	@if [ -x .venv/bin/python ]; then $(STACK) stop; fi

status: ## show what is up, and where
	@if [ -x .venv/bin/python ]; then $(STACK) status; else echo "not installed: make run"; fi

clean: stop ## stop the stack and delete its data (what is installed stays)
	@if [ -x .venv/bin/python ]; then $(STACK) clean; fi

test: install-dev ## all tests, on services and ports of their own
	@.venv/bin/python -m pytest --cov

test-fast: install-dev ## the tests that need no service, under a minute
	@.venv/bin/python -m pytest tests/unit tests/dags

test-image: install-dev ## the tests as `astro dev pytest` runs them in the image, without Docker
	@.ci/test-image

test-browser: install-dev ## Chromium clicks through Airflow and MLflow (CHROMIUM=/path/to/it, where it isn't found)
	@$(FIND_PYTHON) include/local_stack/install.py browser
	@.venv/bin/python -m pytest -m browser

screenshots: ## take the pictures in the README, as part of `make test-browser`
	@SCREENSHOTS=.github/screenshots $(MAKE) test-browser

test-faults: install-dev ## services that stop, processes that are killed, a full disk (half an hour)
	@.venv/bin/python -m pytest -m faults

test-celery: install-dev ## the DAGs with CeleryExecutor on two workers that share no disk (4 minutes)
	@$(FIND_PYTHON) include/local_stack/install.py celery
	@.venv/bin/python -m pytest -m celery

test-security: install-dev ## logins, secrets and hostile names
	@.venv/bin/python -m pytest -m security

test-endurance: install-dev ## 30 runs in a row (RUNS=5 for fewer) leave nothing behind and take as long as the first
	@RUNS=$(RUNS) .venv/bin/python -m pytest -s -m endurance

OSV = https://api.osv.dev/v1/vulns/OSV-2020-744
AUDIT = .venv/bin/uv tool run -q pip-audit==2.10.1 --disable-pip --vulnerability-service osv --progress-spinner off
advisories: install ## known advisories about the pinned packages (needs the OSV database on the internet)
	@.venv/bin/python -c 'import requests; requests.get("$(OSV)", timeout=10).raise_for_status()' 2>/dev/null || \
		{ echo "Nothing was checked: the OSV database, api.osv.dev, can't be reached from here. Try it in another network." >&2; exit 1; }
	@status=0; for lock in $(LOCKS)/*.txt; do echo "$$lock"; $(AUDIT) -r "$$lock" || status=1; done; exit $$status

bench: install ## what a run costs at 104, 100,000 and 1,000,000 rows (SIZES="104 1000" for others)
	@.venv/bin/python -m include.local_stack.bench

prune: install ## delete what runs older than DAYS (30) left between the tasks (DRY=1 lists it only)
	@$(STACK) prune $(or $(DAYS),30) $(if $(DRY),--dry-run)

lint: install-dev ## ruff, formatting, mypy, import-linter
	@.venv/bin/ruff check . && .venv/bin/ruff format --check . && .venv/bin/mypy && .venv/bin/lint-imports --no-cache

format: install-dev ## let ruff fix what it can
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

# The newest of the Pythons that the project runs on; `make PYTHON=/path/to/python3.12 ...` chooses another.
FIND_PYTHON = for python in $(if $(PYTHON),"$(PYTHON)",python3.12 python3.11 python3 python); do \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && break; python=; done; \
	[ -n "$$python" ] || { echo "No Python 3.11 or 3.12 found. Install one, or name it: make PYTHON=/path/to/python3.12 $(MAKECMDGOALS)" >&2; exit 1; }; "$$python"

install:
	@$(FIND_PYTHON) include/local_stack/install.py

install-dev:
	@$(FIND_PYTHON) include/local_stack/install.py dev

RESOLVE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
lock: install ## resolve the versions in requirements.txt and pyproject.toml again
	@$(RESOLVE) requirements.txt --group airflow -o $(LOCKS)/airflow.txt
	@$(RESOLVE) --group mlflow -o $(LOCKS)/mlflow.txt
	@$(RESOLVE) --group dev -c $(LOCKS)/airflow.txt -o $(LOCKS)/dev.txt
	@$(RESOLVE) --group browser -c $(LOCKS)/airflow.txt -o $(LOCKS)/browser.txt
	@$(RESOLVE) --group celery -c $(LOCKS)/airflow.txt -o $(LOCKS)/celery.txt
