# make demo   install what `midfill demo` needs into .venv, and run it
# make test   install what the checks need into .venv, and run everything that needs no editor
# make test-neovim   fetch two versions of Neovim into a cache and test the plugin in them (Debian and its like)
# make lint-vscode   types, style and unit tests of the VS Code extension (Node 20 or newer)
# make test-vscode   fetch VS Code into a cache and test the extension in it (Debian and its like)
# make clean  remove what the two have made
# Another interpreter: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt

.PHONY: demo test test-neovim lint-vscode test-vscode clean

demo: $(VENV)/.has-local
	$(BIN)/midfill demo

test: $(VENV)/.has-dev build/typing/midfill
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p midfill.lsp_server -p midfill.model
	$(BIN)/python -m pytest --ignore tests/editors/neovim

test-neovim: $(VENV)/.has-dev
	tests/editors/neovim/fetch.sh
	$(BIN)/python -m pytest tests/editors/neovim

VSCODE := editors/vscode

lint-vscode: $(VSCODE)/node_modules/.package-lock.json
	cd $(VSCODE) && npm run --silent lint && npm test --silent

test-vscode: $(VENV)/.has-dev $(VSCODE)/midfill.vsix
	tests/editors/vscode/get_vscode.sh
	cd $(VSCODE) && npm run --silent test:editor

$(VSCODE)/midfill.vsix: $(VSCODE)/node_modules/.package-lock.json $(wildcard $(VSCODE)/src/*.ts $(VSCODE)/walkthrough/*) $(VSCODE)/package.json
	cd $(VSCODE) && npm run --silent package

$(VSCODE)/node_modules/.package-lock.json: $(VSCODE)/package-lock.json
	cd $(VSCODE) && npm ci --ignore-scripts
	@touch $@

# Everything but weights and state of the user's own: those are in no folder of this repository.
clean:
	rm -rf $(VENV) build dist midfill.egg-info .pytest_cache .mypy_cache .ruff_cache

$(VENV)/.has-local: $(BIN)/python pyproject.toml constraints.txt
	@echo "Installing midfill with its model runtime into $(VENV) (once; PyTorch is the large part)."
	$(INSTALL) --editable '.[local]'
	@touch $@

$(VENV)/.has-dev: $(BIN)/python pyproject.toml constraints.txt
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
