# The few commands a person needs. Each sets up its own .venv and reuses it while current.
PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c $(CONSTRAINTS)

.PHONY: demo test test-slow test-files test-mlflow test-cluster test-arm lowest mutants check accept docs clean

demo: $(VENV)/.installed
	$(BIN)/robench run defense=intrs attack=pgd
	$(BIN)/robench leaderboard results --out page

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 -q

test-slow: $(VENV)/.installed-dev
	$(BIN)/pytest -q -m slow

# Files in OpenVINO, and files that NNCF and torchao make: packages that other tests do without.
test-files: $(VENV)/.installed-dev
	$(PIP) -e '.[openvino,torchao]'
	$(BIN)/pytest -q -m files

# The example package's tracker with a real server of MLflow, which needs an older pyarrow than robench
# and so an environment of its own, and the small client, beside all that robench has.
test-mlflow: $(VENV)/.installed-dev
	test -x $(VENV)-mlflow/bin/mlflow || { $(PYTHON) -m venv $(VENV)-mlflow && \
	  $(VENV)-mlflow/bin/python -m pip install -q --disable-pip-version-check -c constraints-mlflow.txt mlflow; }
	test -x $(VENV)-tracking/bin/mlflow || { $(PYTHON) -m venv $(VENV)-tracking && \
	  $(BIN)/python -c 'import site; print(f"import site; site.addsitedir({site.getsitepackages()[0]!r})")' \
	    > $$(ls -d $(VENV)-tracking/lib/python*/site-packages)/robench.pth && \
	  $(VENV)-tracking/bin/python -m pip install -q --disable-pip-version-check -c $(CONSTRAINTS) mlflow-skinny; }
	PYTHONPATH=examples/robench-example $(VENV)-tracking/bin/python tools/mlflow_server.py $(VENV)-mlflow/bin/mlflow \
	  $(VENV)-tracking/bin/python -m pytest -q -c pyproject.toml examples/robench-example/tests/test_tracking.py

# A sweep on a real Slurm and a real Ray on this machine, disturbed in every way: about half an hour,
# as root where Slurm is to be set up (Debian's packages); what cannot be had is skipped, and said.
# Ray's launcher needs older packages than the others: with the newest ones pinned pip would look for
# minutes, and find nothing.
test-cluster: $(VENV)/.installed-dev
	command -v slurmctld >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  apt-get install -y -qq slurmctld slurmd munge slurm-client; } || true
	test -x $(VENV)-cluster/bin/python || $(PYTHON) -m venv $(VENV)-cluster
	sed -E 's/^cloudpickle==.*/cloudpickle<3/; s/^joblib==.*/joblib<1.6/; s/^python-dateutil==.*/python-dateutil<3/' \
	  $(CONSTRAINTS) >$(VENV)-cluster/constraints.txt
	$(VENV)-cluster/bin/python -m pip install -q --disable-pip-version-check -c $(VENV)-cluster/constraints.txt -e '.[test,joblib,submitit,ray]'
	$(VENV)-cluster/bin/python -m pytest -q -s -m cluster tests/cluster

test-arm: $(VENV)/.installed-dev
	{ command -v qemu-aarch64-static && command -v aarch64-linux-gnu-gcc; } >/dev/null || { apt-get update -qq && \
	  apt-get install -y -qq gcc-aarch64-linux-gnu qemu-user-static; }
	$(BIN)/pytest -q tests/integer/test_arm.py -m 'slow or not slow'

# The lower bounds of pyproject.toml, direct dependencies at their lowest; python 3.11 alone has
# wheels of all of them.
lowest: $(VENV)-lowest/.installed
	$(VENV)-lowest/bin/python -m pytest -q tests/base tests/core tests/plugin tests/plugins/attacks tests/run tests/search tests/training

# Do the tests notice a wrong operator? About half an hour; one module: make mutants MODULES=stats
mutants: $(VENV)/.installed-dev
	$(PIP) cosmic-ray==8.7.0
	$(BIN)/python tools/mutants.py $(MODULES)

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/versions.py check
	$(BIN)/mkdocs build -q

# The code behind a version changed and gives the same numbers, or the version was raised:
# make accept STEP='train attack.pgd'
accept: $(VENV)/.installed-dev
	$(BIN)/python tools/versions.py accept $(STEP)

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs serve

clean:
	rm -rf $(VENV) $(VENV)-lowest $(VENV)-mlflow $(VENV)-tracking $(VENV)-cluster results cache site page

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) -e '.[test,lint,docs]'
	touch $@

$(VENV)-lowest/.installed: pyproject.toml
	test -x $(VENV)-lowest/bin/python || python3.11 -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install -q --disable-pip-version-check uv
	VIRTUAL_ENV=$(VENV)-lowest $(VENV)-lowest/bin/uv pip install -q --resolution lowest-direct -e '.[test]'
	touch $@
