# Two commands are all a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
TORCH := 2.13.0

# "+cpu" names the build without CUDA: where pip's indexes do not have it, PyTorch's own does. Other
# systems than Linux have no CUDA build to be kept away from.
ifeq ($(shell uname -s),Linux)
  TORCH := $(TORCH)+cpu
endif

.PHONY: env demo test bench reproduce reproduce-gpu docs dist audit
.DELETE_ON_ERROR:

env: .venv/.made

.venv/.made: pyproject.toml Makefile
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tombola needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "torch==$(TORCH)" \
		|| $(BIN)/pip install --quiet --disable-pip-version-check "torch==$(TORCH)" \
			--index-url https://download.pytorch.org/whl/cpu
	echo "torch==$(TORCH)" > .venv/constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint .venv/constraints.txt \
		--editable '.[torch,vision,export,theory,cluster,report,tensorboard,docs,dev]'
	touch $@

demo: env
	rm -rf runs/demo
	@echo "--- searching a random network for a ticket: no weight is trained"
	$(BIN)/tombola search --out runs/demo/ticket
	@echo "--- training the same network in the ordinary way, to compare"
	$(BIN)/tombola train --out runs/demo/dense
	@echo "--- rebuilding the network from the seed and the mask"
	$(BIN)/tombola verify runs/demo/ticket/ticket.tombola
	$(BIN)/tombola evaluate runs/demo/ticket/ticket.tombola
	$(BIN)/tombola report runs/demo/ticket runs/demo/dense --png runs/demo/demo.png

test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pytest -n 2

# Those called long_ take hours: run them by themselves.
bench: env
	$(BIN)/python benchmarks/_results.py $(ONLY)

# The papers' claims: reproduction/README.md says what there is and how long it takes.
reproduce: env
	$(BIN)/python -m reproduction run $(ONLY)

reproduce-gpu: env
	$(BIN)/python -m reproduction run gpu

# The site, into site/; every warning is an error (not with --quiet, which hides them from --strict, too). The
# variable silences a notice of the theme's makers.
docs: env
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "open site/index.html; its search needs a server: $(BIN)/python -m http.server --directory site"

# The source distribution, and the wheel that is built out of it.
dist: env
	rm -rf dist
	$(BIN)/python -m build

# Asks PyPI's advisory service about every installed package; fails where one has a known vulnerability, or
# the service does not answer for it. It knows no "+cpu".
audit: env
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint .venv/constraints.txt \
		--editable '.[audit]'
	$(BIN)/pip freeze --exclude-editable | sed 's/+[a-z0-9.]*$$//' > .venv/installed.txt
	$(BIN)/pip-audit --strict --no-deps --disable-pip --progress-spinner off --requirement .venv/installed.txt
