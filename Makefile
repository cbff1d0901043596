# The commands of the project. `make demo` and `make test` set up everything they need.
#
#   make demo [ARGS='--images DIR']     make test [ARGS='-k pairing -x']

SHELL := /bin/bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint bench clean distclean

ARGS ?=
ENV := . scripts/env.sh

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 - \2/p' Makefile | expand -t 18

setup:  ## set up Python, ROS and the package inside the clone
	@scripts/bootstrap.sh

demo: setup  ## run the demo over DDS; the result is in out/demo (ARGS='--help' for options)
	@$(ENV) && exec python -m mafs_demo $(ARGS)

test: setup  ## run all tests, linters and type checks (ARGS: options of pytest)
	@$(ENV) && exec python -m pytest $(ARGS)

lint: setup  ## check style, formatting and types
	@$(ENV) && ruff check . && ruff format --check . && mypy

BENCHMARKS ?=
bench: setup  ## measure this machine into docs/benchmarks.md (ARGS='--help'; BENCHMARKS='pairing node_overhead network_speed soak': single ones)
	@$(ENV) && if [ -z '$(BENCHMARKS)' ]; then exec python -m benchmarks.bench $(ARGS); fi; \
		for name in $(BENCHMARKS); do \
			echo "== benchmarks/$$name.py"; python benchmarks/$$name.py $(ARGS); done

clean:  ## remove build products, keep the environment
	rm -rf build install log out .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf *.egg-info .venv/.stamps/colcon .venv/.stamps/project
	find . -path ./.venv -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf

distclean: clean  ## remove the environment as well
	rm -rf .venv .bootstrap.lock
