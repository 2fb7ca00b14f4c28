# Everything is made from a fresh clone with Python >= 3.11, make and sh; a second call does nothing twice.
JUDGE := tests/identity/judge
FRONTEND := agent_analytics/frontend
BUILT := $(FRONTEND)/node_modules/.built
SOURCES := $(wildcard $(addprefix $(FRONTEND)/,package.json package-lock.json *.mjs *.css src/*))

.NOTPARALLEL:
.PHONY: demo test test-full lint bench docs-tables frontend system clean

demo: export AGENT_ANALYTICS_HOME ?= $(CURDIR)/.demo
demo: .venv/.installed $(BUILT)
	@exec .venv/bin/python -m agent_analytics.cli demo

test: .venv/.installed-dev $(BUILT) $(JUDGE)/node_modules/.node system
	@exec .venv/bin/python -m pytest

test-full: .venv/.installed-dev $(BUILT) $(JUDGE)/node_modules/.node system
	@exec .venv/bin/python -m pytest --full

lint: .venv/.installed-dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

bench: .venv/.installed-dev $(BUILT)
	@exec .venv/bin/python -m benchmarks

docs-tables: .venv/.installed-dev
	@exec .venv/bin/python docs/generate.py

frontend: $(BUILT)

# The demo's data, in .demo, stay.
clean:
	rm -rf .venv $(JUDGE)/node_modules $(FRONTEND)/node_modules $(FRONTEND)/dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

system:
	@sh scripts/system.sh

.venv/.installed: pyproject.toml
	@sh scripts/environment.sh
	@touch $@

.venv/.installed-dev: pyproject.toml
	@sh scripts/environment.sh dev
	@touch .venv/.installed $@

$(BUILT): $(SOURCES) | .venv/.installed
	@sh scripts/frontend.sh
	@touch $@

$(JUDGE)/node_modules/.node: $(JUDGE)/package-lock.json | .venv/.installed-dev
	@sh scripts/judge.sh
