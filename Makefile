# Targets: venv, demo, test, check, bench, clean.

# The first Python that is new enough.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
STAMP := .venv/.made

# Tests use the folder of real data sets beside the checkout, unless the caller says otherwise.
ifeq ($(origin DETECT_TL_SHARED),undefined)
DETECT_TL_SHARED := $(if $(wildcard ../shared/data),$(abspath ../shared))
endif
export DETECT_TL_SHARED

.PHONY: venv demo test check lint bench clean

venv: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v "$(PYTHON)" >/dev/null || \
		{ echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# Two packages bring cv2; the one that comes last wins. The one with windows is wanted, unless
	@# this machine lacks the libraries for windows.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
		-c constraints.txt opencv-python
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { \
		echo "opencv-python cannot be loaded here (no libGL?): taking opencv-python-headless"; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps \
			-c constraints.txt opencv-python-headless && $(BIN)/python -c 'import cv2'; }
	@touch $@

demo: $(STAMP)
	$(BIN)/detect-tl quickstart

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Everything, by a process for each core (at most four: a process can hold a gigabyte), each of which
# takes whole files, in their order. The last lines are the summary of the tests.
test: lint
	$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# Everything but what trains or exports a real model.
check: lint
	$(BIN)/python -m pytest -m "not slow" -q

bench: $(STAMP)
	@set -e; for bench in tools/bench_*.py; do echo "== $$bench"; $(BIN)/python "$$bench"; done

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
