# The commands of the project. Each sets up what it needs.
#
#   make demo [ARGS='--images DIR']     make test [ARGS='-k pairing -x']

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup develop demo test lint bench docs clean distclean

ARGS ?=
EXTRAS ?=
ENV := . scripts/env.sh

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 - \2/p' Makefile | expand -t 18

setup:  ## set up inside the clone what the node needs (EXTRAS='demo train onnx quantise dev': more)
	@scripts/bootstrap.sh $(EXTRAS)

develop:  ## the same with everything that training, tests and linters need
	@scripts/bootstrap.sh all

demo: EXTRAS += demo
demo: setup  ## run the demo over DDS; the result is in out/demo (ARGS='--help' for options)
	@$(ENV) && exec python -m mafs_demo $(ARGS)

test: develop  ## run all tests, linters and type checks (ARGS: options of pytest)
	@$(ENV) && exec python -m pytest $(ARGS)

lint: develop  ## check style, formatting and types
	@$(ENV) && ruff check . && ruff format --check . && mypy

BENCHMARKS ?=
bench: develop  ## measure this machine into docs/benchmarks.md (ARGS='--help'; BENCHMARKS='pairing node_overhead network_speed soak': single ones)
	@$(ENV) && if [ -z '$(BENCHMARKS)' ]; then exec python -m benchmarks.bench $(ARGS); fi; \
		for name in $(BENCHMARKS); do \
			echo "== benchmarks/$$name.py"; python benchmarks/$$name.py $(ARGS); done

docs:  ## build the documents as a site into out/site, fail at a broken link
	@[ -x .cache/site/bin/mkdocs ] || { python3 -m venv .cache/site && \
		.cache/site/bin/pip install -q -r docs/requirements.txt; }
	@NO_MKDOCS_2_WARNING=1 .cache/site/bin/mkdocs build --strict

clean:  ## remove build products, keep the environment
	rm -rf build install log out .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf *.egg-info .venv/.stamps/colcon_build .venv/.stamps/project
	find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean  ## remove the environment as well
	rm -rf .venv .bootstrap.lock
