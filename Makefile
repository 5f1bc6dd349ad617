PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

OUT := kits

.PHONY: demo test lint provision clean

demo: $(VENV)/.installed
	env -u DATASET_ROOT -u DATALIST_ROOT -u CACHE_ROOT $(BIN)/python job.py

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

provision: $(VENV)/.installed
	$(BIN)/python deploy/provision.py $(or $(HOST),$(if $(JOIN),,$(error HOST is not set; expected the server's host name: \
	make provision HOST=fl.example.org))) --out $(OUT) $(if $(JOIN),--join $(JOIN)) $(if $(SITES),--sites $(SITES)) \
	$(if $(PORT),--port $(PORT)) $(if $(STORAGE),--storage $(STORAGE))

$(VENV)/.installed: requirements.txt requirements-dev.txt requirements-bundle.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	"error: $(PYTHON) is Python %d.%d; expected 3.11 or later: name one with make PYTHON=python3.11" % v[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(VENV)/bundle \
	-r requirements-bundle.txt
	@touch $@

clean:
	rm -rf $(VENV)
