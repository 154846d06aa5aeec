# One file, few verbs. Everything runs in .venv, which is made from requirements.lock when needed.

PYTHON  ?= python3
CORPUS  ?= demo
PROFILE ?=
STRICT  ?= 1
FRESH   ?= 0
TRIALS  ?= 30
TABLE   ?=

VENV := .venv
BIN  := $(VENV)/bin
DONE := $(VENV)/.installed

ifneq ($(filter-out 0 1,$(STRICT) $(FRESH)),)
  $(error STRICT and FRESH are 0 or 1, not '$(STRICT)' and '$(FRESH)')
endif

export SER_FRESH := $(FRESH)
export TF_CPP_MIN_LOG_LEVEL := 3

.DEFAULT_GOAL := help
.PHONY: help report test check-all lock lab app data tune docs lint lint-notebooks format dist bench demo-clips clean

help:  ## Show this list
	@echo "Speech emotion recognition, honestly. Targets:"
	@echo
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  CORPUS=$(CORPUS)  SER_DATA=$(SER_DATA)  (make report CORPUS=ravdess SER_DATA=folder/of/corpora)"
	@echo "  PROFILE=quick|full  STRICT=0 leaves damaged clips out  FRESH=1 trains again  TRIALS=$(TRIALS)"

report: $(DONE)  ## Run every notebook and write reports/<CORPUS>/report.html (TABLE=my.csv: of your own)
	@$(BIN)/ser report $(if $(TABLE),--table "$(TABLE)",$(CORPUS)) $(if $(PROFILE),--profile $(PROFILE)) $(if $(filter 0,$(STRICT)),--no-strict)
	@$(if $(TABLE),,$(BIN)/python -m tools.update_readme $(CORPUS))

test: $(DONE)  ## Run the tests
	@$(BIN)/python -m pytest

check-all: lint  ## Check style, run all tests, also those that take minutes and on other Pythons
	@$(BIN)/python -m pytest -m "minutes or not minutes"
	@.ci/pythons

lock: $(DONE)  ## Pin what pyproject.toml asks for; what is pinned and still fits stays
	@$(BIN)/uv pip compile pyproject.toml --extra all --extra dev --extra formats --universal \
	  --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --output-file requirements.lock >/dev/null

lab: $(DONE)  ## Open JupyterLab on the notebooks
	@JUPYTER_CONFIG_PATH=$(CURDIR)/tools/lab $(BIN)/jupyter lab

app: $(DONE)  ## Open the browser app: record or drop a file, see what it sounds like
	@$(BIN)/ser app

data: $(DONE)  ## Say which corpora are there, and how to get the others
	@$(BIN)/ser data

tune: $(DONE)  ## Search for better settings of fpt2025, or go on with it, up to TRIALS trials
	@$(BIN)/ser tune fpt2025 --corpus $(CORPUS) --n-trials $(TRIALS) $(if $(filter 0,$(STRICT)),--no-strict)

docs: $(DONE)  ## Write the API reference to docs/api/index.html
	@$(BIN)/python -m tools.build_api_docs

lint: lint-notebooks  ## Check style, spelling, arrows, types, and that notebooks hold no outputs
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@PYTHONPATH=.:notebooks $(BIN)/lint-imports
	@$(BIN)/mypy

# As git holds them: in the folder they have the outputs of the last session.
lint-notebooks: $(DONE)
	@rm -rf build/staged
	@git ls-files -z 'notebooks/*.ipynb' | git checkout-index -z --stdin --prefix=build/staged/
	@$(BIN)/nbstripout --keep-id --verify build/staged/notebooks/*.ipynb

format: $(DONE)  ## Put code and notebooks into the one style
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .
	@$(BIN)/nbstripout --keep-id notebooks/*.ipynb

dist: $(DONE)  ## Build sdist and wheel of the last commit into dist/, the same bytes everywhere
	@rm -rf .cache/release dist
	@mkdir -p .cache/release
	@git archive HEAD | tar -x -C .cache/release
	@SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) \
	  $(BIN)/python -m build --no-isolation --outdir dist .cache/release
	@$(BIN)/python -m twine check --strict dist/*

bench: $(DONE)  ## Measure how fast things are here; with BEFORE=folder, against another checkout
	@$(BIN)/python -m tools.benchmark $(if $(BEFORE),--before $(BEFORE))

demo-clips: $(DONE)  ## Speak the demo corpus again (needs espeak-ng)
	@$(BIN)/python -m tools.make_demo_clips

clean:  ## Delete the environment, caches and the demo report; stored runs of real corpora stay
	rm -rf $(VENV) .cache .pytest_cache .ruff_cache .mypy_cache build dist docs/api *.egg-info reports/demo reports/*/executed
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DONE): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Python 3.11 to 3.13 is needed; $$($(PYTHON) --version) is here. Try make PYTHON=python3.12"; exit 1; }
	@echo "Installing into $(VENV) (about two minutes, once) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@test ! -e .git || git config filter.notebooks.clean \
	  'if test -x $(BIN)/python; then $(BIN)/python tools/lab/strip_notebook.py; else cat; fi' || \
	  echo "git config failed: outputs of notebooks will be seen as changes."
	@touch $@
