# make demo     the whole way on this machine: scanner, service, PACS (ONCE=1 ends by itself)
# make test     what a change must pass
# make serve    the service with dicom_ai.toml of this folder
# make verify   long measurements; writes deploy/benchmarks.md
# make lint     ruff and mypy alone
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test serve verify lint install
.DEFAULT_GOAL := test

install: $(STAMP)

# Installed again only when the requirements change; the package itself is editable.
$(STAMP): pyproject.toml deploy/constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c deploy/constraints.txt -e '.[train,dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/dicom-ai demo $(if $(ONCE),--once,)

serve: $(STAMP)
	$(BIN)/dicom-ai serve

lint: $(STAMP)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

# Two workers of one thread each: threads of their libraries would wait for one another. In the order of the folders
# long files come first and small ones last; by number of tests the longest, of one test each, would come at the end.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

verify: $(STAMP)
	$(BIN)/python -m pytest -m "verify or benchmark"
	$(BIN)/python -m pytest -m "hypothesis and not verify" --hypothesis-profile=search --timeout=1800
