PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# errors alone: pip's warnings of deprecations and locations are none of the user's
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check

OUT := kits

# An index of torch alone, such as PyTorch's index of CPU wheels; without one torch comes from pip's own index, which on
# Linux x86_64 gives a build with CUDA.
TORCH_INDEX :=

CODE := src result_stat benchmarks deploy $(wildcard dataset_*/*.py *.py)

.PHONY: demo dashboard test lint provision clean

demo: $(VENV)/.installed
	env -u DATASET_ROOT -u DATALIST_ROOT -u CACHE_ROOT $(BIN)/python job.py

dashboard: $(VENV)/.dashboard
	$(BIN)/python result_stat/dashboard.py $(ARTIFACTS) $(if $(HOST),--host $(HOST)) $(if $(PORT),--port $(PORT))

test: $(VENV)/.installed lint
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	PYTHONPATH=src $(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/xenon --max-absolute B $(CODE)

provision: $(VENV)/.installed
	$(BIN)/python deploy/provision.py $(or $(HOST),$(if $(JOIN),,$(error HOST is not set; expected the server's host name: \
	make provision HOST=fl.example.org))) --out $(OUT) $(if $(JOIN),--join $(JOIN)) $(if $(SITES),--sites $(SITES)) \
	$(if $(PORT),--port $(PORT)) $(if $(STORAGE),--storage $(STORAGE))

$(VENV)/.installed: requirements.txt requirements-dev.txt requirements-bundle.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else \
	"error: $(PYTHON) is Python %d.%d; expected 3.11 or later: name one with make PYTHON=python3.11" % v[:2])'
	@echo "1/3 virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@echo "2/3 packages, some minutes: $(if $(TORCH_INDEX),1.8 GB with torch from $(TORCH_INDEX),5.5 GB where torch comes \
	with CUDA and 1.8 GB where it does not (make TORCH_INDEX=... names an index of CPU wheels, see pytorch.org))"
	@$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url $(TORCH_INDEX) $(shell grep '^torch==' requirements.txt))
	@$(PIP) -r requirements-dev.txt
	@echo "3/3 packages of MONAI bundles, apart from the rest"
	@$(PIP) --no-deps --upgrade --target $(VENV)/bundle -r requirements-bundle.txt
	@touch $@

$(VENV)/.dashboard: $(VENV)/.installed requirements-dashboard.txt
	@echo "packages of the dashboard, about half a gigabyte"
	@$(PIP) -r requirements-dashboard.txt
	@touch $@

clean:
	rm -rf $(VENV)
