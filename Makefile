PYTHON ?= python3
GATEWAYS ?= 3
ROUNDS ?= 200
SEED ?= 1
SECONDS ?= 3600
SEEDS ?= 200
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.installed
TEST_ENVIRONMENT := $(VENV)/.installed-test

.PHONY: run test lint conformance sim bench fuzz hostile kill chaos image test-image clean

run: $(ENVIRONMENT)
	$(BIN)/python -m demo.run --gateways $(GATEWAYS)

test: $(TEST_ENVIRONMENT)
	tests/packages.sh
	$(BIN)/pytest

lint: $(TEST_ENVIRONMENT)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

conformance: $(TEST_ENVIRONMENT)
	$(BIN)/python -m tests.conformance

sim: $(TEST_ENVIRONMENT)
	$(BIN)/python -m tests.sim.many --seeds $(SEEDS)

bench: $(TEST_ENVIRONMENT)
	tests/packages.sh
	$(BIN)/python -m bench

fuzz: $(TEST_ENVIRONMENT)
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS)

hostile: $(TEST_ENVIRONMENT)
	IDLE=10000 $(BIN)/pytest -s tests/hostile

kill: $(TEST_ENVIRONMENT)
	$(BIN)/python -m tests.kill.loop --rounds $(ROUNDS) --seed $(SEED)

chaos: $(TEST_ENVIRONMENT)
	tests/packages.sh
	$(BIN)/python -m tests.chaos.loop --rounds $(ROUNDS) --seed $(SEED)

image: $(ENVIRONMENT)
	image/build.sh

test-image: $(TEST_ENVIRONMENT)
	tests/packages.sh
	$(BIN)/pytest tests/image

clean:
	rm -rf $(VENV) var build

$(ENVIRONMENT): requirements.lock pyproject.toml
	PYTHON=$(PYTHON) ./environment.sh requirements.lock
	touch $@

$(TEST_ENVIRONMENT): requirements-test.lock $(ENVIRONMENT)
	$(BIN)/pip install -q --require-hashes -r requirements-test.lock
	touch $@
