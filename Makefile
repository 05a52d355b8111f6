# Two commands matter: `make run` lives a first life, `make test` proves the code. Both set up first.
VENV    ?= .venv
PYTHON  ?= python3
HOME_DIR ?= life
SEED    ?= 7
MINUTES ?= 10
ARGS    ?=
# Installed first and exactly, so that a machine which offers a CPU build of it keeps that build.
TORCH   ?= torch==2.13.0

BIN := $(VENV)/bin
export RAY_USAGE_STATS_ENABLED = 0

.PHONY: run test check lint demo-figures life-figures bench clean

run: $(VENV)/.installed
	$(BIN)/agentd run --home $(HOME_DIR) --seed $(SEED) --minutes $(MINUTES) --profile first_life $(ARGS)
	@echo
	@echo "It goes on with the same life:  make run          (or $(BIN)/agentd run --home $(HOME_DIR))"
	@echo "In the background:              $(BIN)/agentd start --home $(HOME_DIR)"

test: $(VENV)/.tested
	$(BIN)/python -m pytest $(ARGS)

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

demo-figures: $(VENV)/.installed
	$(BIN)/agentd run --home runs/life --seed $(SEED) --minutes $(MINUTES) --profile first_life --no-view
	cp runs/life/log/life.svg docs/life.svg
	$(BIN)/agentd checkpoints show --home runs/life --truth
	$(BIN)/agentd eval --home runs/life --houses 12 --goals 6 --arms floor,reset,kept,kept_model \
	    --out runs/eval --figures docs $(ARGS)
	$(BIN)/python -m agentd.worlds.house.pictures --seed 3 --out docs

life-figures: $(VENV)/.installed
	$(BIN)/agentd eval life --out runs/eval-life --figures docs $(ARGS)

bench: $(VENV)/.tested
	for script in tests/bench/bench_*.py; do $(BIN)/python $$script || exit 1; done

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --editable ".[fast]"
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable ".[fast,pretrained,processes,gymnasium,robot,logs,dev]"
	touch $@

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
