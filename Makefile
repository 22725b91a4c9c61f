# SPDX-License-Identifier: Apache-2.0
# make run   a patched host in the lab that runs pidinfod     make stop  ends it
# make test  everything                                       make check lint, types, unit tests
# make run-host  the daemon on this machine's own kernel      make bench the measurements
# make torture   the series under the kernel's own checkers    make kernels on every kernel
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Passed on through sudo, so that root and its caller share one cache.
export PIDINFOD_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pidinfod
AS_ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)

.PHONY: help
help:
	@sed -n '2,5s/^# //p' Makefile

.PHONY: setup
setup:
	@deploy/setup >/dev/null

.PHONY: check
check: setup
	@set -e; venv=$$(deploy/setup); \
	$$venv/bin/ruff check . ; \
	$$venv/bin/mypy ; \
	$$venv/bin/python3 -m pytest -q tests/unit

.PHONY: test
test: setup
	@set -e; venv=$$(deploy/setup); \
	echo "== lint and types"; $$venv/bin/ruff check . ; $$venv/bin/mypy ; \
	echo "== kernel"; kernel/check 6.12 ; kernel/build --padded ; kernel/build --debug ; \
	echo "== tests"; \
	$(AS_ROOT) env PIDINFOD_CACHE="$$PIDINFOD_CACHE" $$venv/bin/python3 -m pytest -v \
		tests/unit tests/host tests/both tests/lab tests/deploy tests/bench tests/torture

# The series on a kernel with KASAN, lockdep and fault injection; SECONDS for each part,
# of which make test takes a few.
SECONDS ?= 300
.PHONY: torture
torture: setup
	@set -e; venv=$$(deploy/setup); kernel/build --debug ; \
	$(AS_ROOT) env PIDINFOD_CACHE="$$PIDINFOD_CACHE" PIDINFOD_TORTURE_SECONDS=$(SECONDS) \
		$$venv/bin/python3 -m pytest -v tests/torture

# The series on every kernel that it is for, x86-64 and arm64: writes kernel/verified.md.
.PHONY: kernels
kernels: setup
	@set -e; venv=$$(deploy/setup); kernel/check ; \
	$(AS_ROOT) env PIDINFOD_CACHE="$$PIDINFOD_CACHE" $$venv/bin/python3 -m pytest -v tests/kernels

.PHONY: run
run: setup
	@deploy/lab/demo

.PHONY: stop
stop:
	@deploy/lab/lab down

.PHONY: run-host
run-host: setup
	@$(AS_ROOT) env PIDINFOD_CACHE="$$PIDINFOD_CACHE" deploy/run-host

# All, or those that are named: make bench BENCH=scale, which writes the picture in README anew.
BENCH ?= calls bystanders probes start server ways scale
.PHONY: bench
bench: setup
	@set -e; venv=$$(deploy/setup); for bench in $(BENCH); do \
		$(AS_ROOT) env PIDINFOD_CACHE="$$PIDINFOD_CACHE" PYTHONPATH="$(CURDIR)" \
			$$venv/bin/python3 tests/bench/$$bench.py; done
