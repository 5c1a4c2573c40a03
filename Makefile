# Thin on purpose: each target is one line of real work.
PYTHON ?= python3
CLUSTER ?= local
N ?= 1000000
BIN := .venv/bin

.PHONY: demo test check lowest olddaemons fuzz bench memory down venv

demo: ## from a bare machine to a two-platform image (CLUSTER=current: on your kubectl context)
	@$(PYTHON) -m localcluster.demo --cluster $(CLUSTER)

test: venv ## all tests, on the real parts
	@$(BIN)/python -m localcluster up && $(BIN)/python -m pytest

check: venv ## format, types, import arrows, fast tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python -m pytest -q -n 4 -m "not cluster and not slow" tests

lowest: ## fast tests with the lowest versions that pyproject.toml allows
	@$(PYTHON) -m tests.versions --lowest

olddaemons: venv ## the corpus on older BuildKit daemons, which are built first (minutes)
	@$(BIN)/python -m localcluster up && $(BIN)/python -m pytest -q -m olddaemons tests/cluster/test_old_daemons.py

fuzz: venv ## N mutated inputs for each reader of foreign text, a quarter of an hour each at most
	@$(BIN)/python -m tests.fuzz --count $(N)

bench: venv ## side by side with docker buildx
	@$(BIN)/python -m localcluster up && $(BIN)/python -m bench --write docs/speed.md

memory: venv ## what 2 GB of context, cache or result take of the client's memory
	@$(BIN)/python -m localcluster up && $(BIN)/python -m pytest -q -s -m memory tests/cluster/test_memory.py

down: ## undoes what demo and test started
	@$(PYTHON) -m localcluster down

venv:
	@$(PYTHON) -m localcluster.bootstrap
