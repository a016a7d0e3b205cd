# SPDX-License-Identifier: GPL-2.0
# The verbs; all of the work is in ci/ (make help). Variables such as V=1 reach the
# driver through the environment, where make puts what its command line sets.

.DEFAULT_GOAL := help
VERBS := deps versions tree patches build boot bench latency shell test parity soak faults signals suites scale bases mutants litmus check-series rebase storm submit all clean distclean help

# Verbs share folders.
.NOTPARALLEL:
.PHONY: $(VERBS)
$(VERBS):
	@cargo run --quiet --release --locked --manifest-path ci/Cargo.toml -- $@
