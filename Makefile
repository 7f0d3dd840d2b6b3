# The few commands a person needs. Each sets up its own .venv and reuses it while current.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow test-arm check docs clean

demo: $(VENV)/.installed
	$(BIN)/robench run defense=intrs attack=pgd
	$(BIN)/robench leaderboard results --out page

test: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 -q

test-slow: $(VENV)/.installed-dev
	$(BIN)/pytest -q -m slow

test-arm: $(VENV)/.installed-dev
	{ command -v qemu-aarch64-static && command -v aarch64-linux-gnu-gcc; } >/dev/null || { apt-get update -qq && \
	  apt-get install -y -qq gcc-aarch64-linux-gnu qemu-user-static; }
	$(BIN)/pytest -q tests/integer/test_arm.py -m 'slow or not slow'

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mkdocs build -q

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs serve

clean:
	rm -rf $(VENV) results cache site page

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test,lint,docs]'
	touch $@
