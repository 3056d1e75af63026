# Every command a contributor needs; `make` lists them. Each installs what it needs, from the hashed locks only.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BUILD := pyproject.toml setup.py $(wildcard src/custody/*/*/*.c)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# as pip does, but on every core; some packages hold files for other Pythons, which do not compile
BYTECODE = $(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true

.PHONY: help demo test check fix lock docs bench bench-alarms bench-batching bench-bias bench-drift bench-erasure bench-faults bench-labels bench-lists bench-privacy bench-real bench-relevance bench-serving bench-start fuzz-serving story-youtube clean
help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

$(VENV)/demo.stamp: requirements/demo.txt $(BUILD)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing custody and the demo's packages (hashed lock) ..."
	@$(BIN)/pip install -q --no-compile --require-hashes -r requirements/demo.txt
	@$(BYTECODE)
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt $(BUILD)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing custody and the development packages (hashed lock) ..."
	@$(BIN)/pip install -q --no-compile --require-hashes -r requirements/dev.txt
	@$(BYTECODE)
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/demo.stamp

demo: $(VENV)/demo.stamp ## the life of a model on real data, told step by step
	@$(BIN)/python demo/arrests/story.py

test: $(VENV)/dev.stamp ## all tests, on every core (WORKERS=1 for one)
	@$(BIN)/python -m pytest -q -n $(or $(WORKERS),auto) --dist worksteal

check: $(VENV)/dev.stamp ## format, lint, types, layers, lock
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@for folder in $$(git ls-files 'tests/*.py' 'bench/*.py' | xargs -n1 dirname | sort -u); do \
	  MYPYPATH=src:demo:$$folder $(BIN)/mypy --no-error-summary $$folder/*.py || exit 1; done
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.txt || (cat $(VENV)/imports.txt; exit 1)
	@$(BIN)/python requirements/check.py
	@$(BIN)/python docs/generate.py --check

fix: $(VENV)/dev.stamp ## format and mend what ruff can mend
	@$(BIN)/ruff format --quiet . ; $(BIN)/ruff check --quiet --fix .

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --custom-compile-command "make lock" pyproject.toml
lock: ## write the hashed locks again
	@test -x $(BIN)/uv || ($(PYTHON) -m venv $(VENV) && $(BIN)/pip install -q uv)
	@$(COMPILE) --extra demo --extra build -o requirements/demo.txt
	@$(COMPILE) --extra dev -o requirements/dev.txt

docs: $(VENV)/dev.stamp ## write the generated references again
	@$(BIN)/python docs/generate.py

bench: bench-alarms bench-batching bench-bias bench-drift bench-erasure bench-faults bench-labels bench-lists bench-privacy bench-real bench-relevance bench-serving bench-start ## every benchmark
bench-alarms: $(VENV)/dev.stamp ## false alarms and delays of drift detectors, by simulation; QUICK=1 for less
	@OMP_NUM_THREADS=1 $(BIN)/python bench/alarms.py
bench-bias: $(VENV)/dev.stamp ## wrong verdicts of the bias check at its tolerance, by simulation; QUICK=1 for less
	@OMP_NUM_THREADS=1 $(BIN)/python bench/bias.py
bench-batching: $(VENV)/dev.stamp ## whether batching pays: for two made models, or for your own (ARGS=model.onnx)
	@OMP_NUM_THREADS=1 $(BIN)/python bench/batching.py $(ARGS)
bench-drift: $(VENV)/dev.stamp ## what a drift report costs beside peers, which it installs under .bench; QUICK=1 for less
	@$(BIN)/python bench/drift.py
bench-erasure: $(VENV)/dev.stamp ## how fast every model that learned from a person is found; QUICK=1 for less
	@$(BIN)/python bench/erasure.py
bench-faults: $(VENV)/dev.stamp ## break what the inference server needs, under load; QUICK=1 for less
	@$(BIN)/python bench/serving_faults.py
bench-labels: $(VENV)/dev.stamp ## what few labels are worth: coverage, savings, alarms; QUICK=1 for less
	@OMP_NUM_THREADS=1 $(BIN)/python bench/labels.py
bench-lists: $(VENV)/dev.stamp ## lists with 10,000 model versions and 100,000 runs on SQLite; QUICK=1 for less
	@$(BIN)/python bench/lists.py
bench-real: $(VENV)/dev.stamp ## known drifts in three real data sets, with dates (CUSTODY_DATA: their folder)
	@OMP_NUM_THREADS=1 $(BIN)/python bench/real.py
bench-relevance: $(VENV)/dev.stamp ## cover of the intervals of relevance and of a loss's parts; QUICK=1 for less
	@OMP_NUM_THREADS=1 $(BIN)/python bench/relevance.py
bench-privacy: $(VENV)/dev.stamp ## recall, leaks and speed of privacy beside its peers; QUICK=1 for less
	@$(BIN)/python bench/privacy.py
bench-serving: $(VENV)/dev.stamp ## a request's CPU beside other model servers (needs wrk, two cores); QUICK=1 for less
	@$(BIN)/python bench/serving/run.py $(ARGS)
bench-start: $(VENV)/dev.stamp ## how long `custody --help` takes
	@$(BIN)/python bench/start.py
fuzz-serving: $(VENV)/dev.stamp ## 10,000 malformed bodies for a live inference server; SEED=n, QUICK=1 for less
	@$(BIN)/python bench/serving_fuzz.py $(SEED)
story-youtube: $(VENV)/dev.stamp ## the life of a text model on dated comment spam (needs the data file)
	@$(BIN)/python bench/stories/youtube.py

clean: ## remove environments and caches
	@rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .bench demo-project
