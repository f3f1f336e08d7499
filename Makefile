# What a person would type, with an environment around it. `make` alone lists the targets.
# ARGS reaches the programme: make train ARGS="model=hard_sharing seed=3"
# JOBS is the number of test processes: make test JOBS=8
# PYTHON picks the interpreter for a new .venv: make train PYTHON=/opt/python3.12/bin/python3

.DEFAULT_GOAL := help
.PHONY: help train evaluate benchmark test test-all lint types check clean

ARGS ?=
PYTHON ?=
RUN = .venv/bin/python
# So many processes of tests, each with one thread: two threads that share a core wait for each other most of the time.
JOBS ?= 2
TEST = OMP_NUM_THREADS=1 $(RUN) -m pytest -n $(JOBS) --dist loadfile
STAMP = .venv/.installed
UNFINISHED = .venv/.unfinished

# `model` may stand once on Hydra's command line, and an experiment or a resumed run brings its own.
words = $(subst ",,$(subst ',,$(ARGS)))
default_model = $(if $(filter model=% experiment=% +experiment=% resume=%,$(words)),,model=soft_sharing)

help: ## list the targets (the default)
	@echo 'make TARGET [ARGS="key=value ..."]'
	@sed -n 's/^\([a-z-]*\):[^#]*## */\1 /p' Makefile | \
	  while read -r name text; do printf '  %-11s %s\n' "$$name" "$$text"; done

train: $(STAMP) ## train model=soft_sharing on MovieLens-100K and print the table; ARGS overrides
	$(RUN) src/train.py $(strip $(default_model) $(ARGS))

evaluate: $(STAMP) ## repeat the test numbers of a run: ARGS="run=logs/train/runs/..." (default: the last)
	$(RUN) src/evaluate.py $(or $(strip $(ARGS)),run=last)

benchmark: $(STAMP) ## rows/s of the training loop beside a bare PyTorch loop (default: model=hard_sharing)
	$(RUN) scripts/benchmark.py $(or $(strip $(ARGS)),model=hard_sharing)

test: $(STAMP) ## the tests, less the slow ones
	$(TEST) -m "not slow" $(ARGS)

test-all: $(STAMP) ## every test
	$(TEST) $(ARGS)

lint: $(STAMP) ## ruff: rules and formatting
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(STAMP) ## mypy
	$(RUN) -m mypy

check: lint types test ## lint, types and test

clean: ## remove caches and build leftovers; .venv, data/ and logs/ stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build src/*.egg-info
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +

# A Python 3.11 or newer that can make environments (Debian packs venv apart).
candidates = $(or $(PYTHON),python3 python3.13 python3.12 python3.11)
find_python = for python in $(candidates); do \
	  if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo $$python; exit 0; \
	  fi; \
	done; \
	echo "No Python 3.11 or newer with venv and pip found (tried: $(candidates));" \
	  "install one (on Debian also python3-venv) or name yours: make PYTHON=/path/to/python3 TARGET" >&2; \
	exit 1

# The stamp is the last step's rename of the mark that the first step sets, so a mark found here is an install that was
# cut short: pip may take a half-copied package for an installed one, so that .venv is made anew. Otherwise pip only
# brings what pyproject.toml or constraints.txt have changed.
$(STAMP): pyproject.toml constraints.txt
	@python=$$($(find_python)) || exit 1; \
	if [ -e $(UNFINISHED) ] || ! [ -x $(RUN) ]; then \
	  echo "Making .venv with $$python"; \
	  rm -rf .venv && mkdir .venv && touch $(UNFINISHED) && $$python -m venv .venv; \
	else \
	  rm -f $(STAMP) && touch $(UNFINISHED); \
	fi
	@echo 'Installing the pinned packages (a minute or two; PyTorch is the large one)'
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@mv $(UNFINISHED) $(STAMP)
