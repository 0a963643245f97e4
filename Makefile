# Each command makes the environment that it needs: see tools/environments.sh.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-fast test-full test-core test-tfx lint bench notebooks docs build locks clean core

CORE := .venv/core/bin/python
TFX := .venv/tfx/bin/python
UV := .venv/uv/bin/uv

# Workers of one thread each. Three fill two cores: there is always one that waits for processes it has started.
# In their own order the files with few, long tests do not all come last, where one worker waits for the other.
WORKERS ?= 3
ONE_THREAD := OMP_NUM_THREADS=1 TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
PYTEST = -m pytest --color=no --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder
PYTEST_ARGS ?=
FAST_TESTS ?= -p tests.without_keras -m "not full" @tests/fast.txt
CORE_TESTS ?= --ignore=tests/integration/tfx
TFX_TESTS ?= --ignore=tests/benchmarks
# The TFX environment holds older versions of TensorFlow, Keras and NumPy. `make test` repeats the tests there
# that depend on these versions, `make test-full` all but the slow ones.
CORE_MARKS ?= not full
TFX_MARKS ?= (tfx or (versions and not slow)) and not full
VERSIONS := -c 'from importlib.metadata import version; import sys; \
	print("==", *(f"{name} {version(name)}" for name in sys.argv[1:]))'

NOTEBOOKS ?= $(wildcard notebooks/*.ipynb)
BENCHMARKS ?= $(shell grep -ls '__name__ == "__main__"' benchmarks/*.py benchmarks/*/*.py)
COMPILE = $(UV) pip compile --quiet --upgrade --python-version=3.10 --no-annotate --no-emit-package=kt-plus \
	--custom-compile-command="make locks"

export KERAS_BACKEND ?= tensorflow
export TF_CPP_MIN_LOG_LEVEL ?= 2
export UV_HTTP_TIMEOUT ?= 180
export UV_SYSTEM_CERTS ?= true
# Without bytecode each process would compile TensorFlow, and TFX, anew: half a minute.
unexport PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: core ## kt.RandomSearch and kt_plus.EvolutionarySearch on real images, three seeds each
	@$(CORE) examples/digits_demo.py

test-fast: core ## tests of core, strategies and rules, without Keras, in less than 2 minutes
	@$(ONE_THREAD) $(CORE) $(PYTEST) $(FAST_TESTS) $(PYTEST_ARGS)

test: test-core test-tfx ## tests that must pass before a change lands (PYTEST_ARGS="-k evolution" selects)

test-full: CORE_MARKS =
test-full: TFX_MARKS = tfx or not slow
test-full: test-core test-tfx ## all tests: also notebooks, documentation, Ray, benchmarks, many kills

test-core: core ## the half of `make test` on current TensorFlow and Keras
	@$(CORE) $(VERSIONS) tensorflow keras keras-tuner
	@$(ONE_THREAD) $(CORE) $(PYTEST) $(CORE_TESTS) -m "$(CORE_MARKS)" $(PYTEST_ARGS)

test-tfx: ## the half of `make test` on the newest TFX that this machine runs
	@sh tools/environments.sh tfx
	@if [ -x $(TFX) ]; then \
		$(TFX) $(VERSIONS) tfx tensorflow keras keras-tuner && \
		$(ONE_THREAD) $(TFX) $(PYTEST) $(TFX_TESTS) -m "$(TFX_MARKS)" $(PYTEST_ARGS); \
	fi

lint: core ## check style (ruff) and types of the pure core (mypy)
	@$(CORE) -m ruff check .
	@$(CORE) -m ruff format --check .
	@$(CORE) -m mypy

bench: core ## print the table of each benchmark (BENCHMARKS=benchmarks/NAME.py for one)
	@status=0; for script in $(BENCHMARKS); do \
		module=$$(echo "$${script%.py}" | tr / .); echo "== $$module"; $(CORE) -m "$$module" || status=1; \
	done; exit $$status

notebooks: core ## run the notebooks from top to bottom and keep their outputs
	@$(CORE) tools/notebooks.py $(filter-out %tfx_pipeline.ipynb,$(NOTEBOOKS))
	@sh tools/environments.sh tfx
	@if [ -x $(TFX) ]; then $(TFX) tools/notebooks.py $(filter %tfx_pipeline.ipynb,$(NOTEBOOKS)); fi

docs: core ## build the documentation as a web site in site/
	@$(CORE) -m zensical build --clean --strict

build: core ## build a wheel and a source distribution in dist/
	@$(CORE) -m build --quiet --installer=uv

locks: ## update requirements/*.lock to the newest versions
	@sh tools/environments.sh uv
	@$(COMPILE) --universal requirements/core.in --output-file=requirements/core.lock
	@$(COMPILE) --universal --constraint=requirements/core.lock requirements/peers.in \
		--output-file=requirements/peers.lock
	@$(COMPILE) --universal requirements/tfx-1.21.in --output-file=requirements/tfx-1.21.lock
	@$(COMPILE) --python-platform=x86_64-manylinux_2_28 requirements/tfx-1.16.in \
		--output-file=requirements/tfx-1.16.lock

clean: ## remove the environments and all generated files
	@rm -rf .venv build dist site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

core:
	@sh tools/environments.sh core
