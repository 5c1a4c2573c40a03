# Thin on purpose: each target is one line of real work.
PYTHON ?= python3
CLUSTER ?= local
N ?= 1000000
BIN := .venv/bin

.PHONY: demo demo-claims options test check lowest olddaemons fuzz image bench faults memory down venv

demo: ## from a bare machine to a two-platform image (CLUSTER=current: on your kubectl context)
	@$(PYTHON) -m localcluster.demo --cluster $(CLUSTER)

demo-claims: ## builders that teams ask for in a file: three teams, a refused claim, builds, the page; on the local cluster
	@$(PYTHON) -m localcluster.demo --claims

test: venv ## all tests, on the real parts
	@$(BIN)/python -m localcluster up && $(BIN)/python -m tests

options: venv ## what is made of the tables of options and claims: pages, typed args, JSON Schemas
	@for made in buildkit_builders.options.docs:docs/options.md tests.preview.changes:docs/changes.md \
	    buildkit_builders.options.typed:infra/buildkit_builders/driveropts.py \
	    buildkit_builders.claims.docs:docs/claims.md \
	    buildkit_builders.package.schema:infra/plugin/schema.json; do \
	  $(BIN)/python -m $${made%%:*} >$${made#*:}.new && mv $${made#*:}.new $${made#*:} || exit 1; done
	@$(BIN)/python -m buildkit_builders.claims.schema

check: venv ## format, types, import arrows, fast tests
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/python -m pytest -q -n 4 -m "not cluster and not slow" tests

lowest: ## fast tests with the lowest versions that pyproject.toml allows
	@$(PYTHON) -m tests.versions --lowest

olddaemons: venv ## the corpus on older BuildKit daemons, which are built first (minutes)
	@$(BIN)/python -m localcluster up && $(BIN)/python -m pytest -q -m olddaemons tests/cluster/test_old_daemons.py

fuzz: venv ## N mutated inputs for each reader of foreign text, a quarter of an hour each at most
	@$(BIN)/python -m tests.fuzz --count $(N)

image: venv ## the client's image, for builders that scale to zero: IMAGE=registry.example/buildclient:1 [PLATFORM=…]
	@test -n "$(IMAGE)" || { echo 'give IMAGE=registry.example/buildclient:1'; exit 2; }
	@$(BIN)/buildclient build -f images/buildclient.Dockerfile $(if $(PLATFORM),--platform $(PLATFORM)) --push -t $(IMAGE) .

bench: venv ## side by side with docker buildx; QUICK=1: less than ten minutes, fails where a goal or bound is missed by a fifth
	@$(BIN)/python -m localcluster up && $(BIN)/python -m bench $(if $(filter-out 0,$(QUICK)),--quick,--plots --write docs/speed.md --json bench/latest.json)

faults: venv ## builds while pods break, are rolled, scaled down and drained, beside docker buildx; three hours
	@$(BIN)/python -m localcluster up && $(BIN)/python -m pytest -q -m faults tests/cluster && $(BIN)/python -m bench.faults && $(BIN)/python -m bench.rolls

memory: venv ## what 2 GB of context, cache or result take of the client's memory
	@$(BIN)/python -m localcluster up && $(BIN)/python -m pytest -q -s -m memory tests/cluster/test_memory.py

down: ## undoes what demo and test started
	@$(PYTHON) -m localcluster down

venv:
	@$(PYTHON) -m localcluster.bootstrap
