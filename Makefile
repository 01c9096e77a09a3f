# The two commands: `make run` and `make test`. Each sets up what it needs, and nothing twice.

# The distribution's Python: it is the one that the distribution's bcc belongs to.
PYTHON ?= /usr/bin/python3
# The screen needs 3.11; Ubuntu 22.04 has it beside the 3.10 that the collector runs under.
NEWER := python3.11
VENV := .venv
BIN := $(VENV)/bin
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
APT_RUN := python3-bpfcc python3-psutil python3-venv
APT := $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip --quiet install --require-hashes
SOURCES := ebpftop probes tests benchmarks screenshots
C_FILES := $(wildcard probes/*.h probes/*/*.[ch] ebpftop/collector/include/include/linux/*.h \
  benchmarks/*.c screenshots/*.[ch])

.PHONY: run setup setup-dev test test-kernels check format bpf snapshots screenshots clean

run: setup
	$(BIN)/ebpftop

setup: $(VENV)/.ready

setup-dev: $(VENV)/.ready-dev

test: setup-dev check
	$(BIN)/pytest tests --ignore=tests/unit --ignore=tests/probes --ignore=tests/recordings --ignore=tests/ui \
	  --ignore=tests/kernels/test_guest.py
	$(BIN)/python -m tests.kernels.matrix --exact 5.10 6.1 6.12 newest

# Format, lint, types, import contracts, fast tests: before each commit.
check: setup-dev
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/clang-format --dry-run --Werror $(C_FILES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest tests/unit tests/probes tests/recordings tests/ui

format: setup-dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/clang-format -i $(C_FILES)

bpf: setup-dev
	$(BIN)/pytest tests/bpf

# make test-kernels KERNELS="6.1 5.10:v1": on other kernels, in QEMU (see tests/kernels/matrix.py).
test-kernels: setup-dev
	$(BIN)/python -m tests.kernels.matrix $(KERNELS)

snapshots: setup-dev
	$(BIN)/pytest tests/ui --snapshot-update

screenshots: setup-dev
	$(BIN)/python screenshots/make.py
	$(BIN)/python screenshots/demo.py

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import bcc.table, psutil, ensurepip' 2>/dev/null || { \
	  command -v apt-get >/dev/null || { echo "$(PYTHON) needs bcc and psutil: see README, Start"; exit 1; }; \
	  echo "installing $(APT_RUN) from the distribution"; \
	  $(APT) update && $(APT) install --no-install-recommends $(APT_RUN); }
	@echo "building $(VENV)"
	@set -e; python=$(PYTHON); $$python -c 'import tomllib' 2>/dev/null || { \
	  python=$(NEWER); $$python -c 'import ensurepip' 2>/dev/null || \
	    $(APT) install --no-install-recommends $(NEWER)-venv; }; \
	  $$python -m venv $(VENV)
	@$(PIP) --requirement requirements.lock
	@$(BIN)/python -m pip --quiet install --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q ebpftop probes
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready requirements-dev.lock
	@$(PIP) --requirement requirements-dev.lock
	@touch $@
