# `make run` shows the whole thing at work; `make test` runs every test that fits CI.
# Both do all their set-up themselves. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Heavy inputs live outside the checkout, each in a folder named by the hash of what it is made
# from: the guest kernel, packages, the customer's root file system, compiled dependencies.
ifeq ($(strip $(ALEPH_CACHE)),)
override ALEPH_CACHE := $(HOME)/.cache/aleph-node
endif
export ALEPH_CACHE
export CARGO_TARGET_DIR ?= $(ALEPH_CACHE)/target

# Tests and image share one profile, so that CI compiles everything once; PROFILE=release is what
# goes onto servers.
PROFILE ?= dev
PROFILE_DIR := $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

CARGO := tools/cargo
HOST_BIN := $(CARGO_TARGET_DIR)/$(PROFILE_DIR)
GUEST_TARGET := x86_64-unknown-linux-musl
GUEST_BIN := $(CARGO_TARGET_DIR)/$(GUEST_TARGET)/$(PROFILE_DIR)
BUILDER := $(HOST_BIN)/aleph-image
NEXTEST := rm -f build/nextest/ci/junit.xml; $(CARGO) nextest run --locked --workspace --all-features --cargo-profile $(PROFILE) --profile ci
REPORTS := build/reports

.PHONY: help
help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

.PHONY: setup
setup: ## Install what building and testing needs (Debian 12, root)
	@tools/setup
	@mkdir -p build $(REPORTS)

.PHONY: binaries
binaries: setup
	@# Cargo tells checkouts apart by time alone: what another one left of our own crates goes.
	@mkdir -p $(CARGO_TARGET_DIR); mark=$(CARGO_TARGET_DIR)/.checkout; \
	if [ "$$(cat $$mark 2>/dev/null)" != "$(CURDIR)" ]; then \
	  rm -rf $(CARGO_TARGET_DIR)/{,$(GUEST_TARGET)/}*/.fingerprint/aleph-*; \
	  echo "$(CURDIR)" > $$mark; fi
	@# With --tests, so that tests and image share one compilation of every dependency.
	$(CARGO) build --locked --profile $(PROFILE) --workspace --all-features --bins $(if $(filter dev,$(PROFILE)),--tests)
	$(CARGO) build --locked --profile $(PROFILE) --target $(GUEST_TARGET) -p aleph-init -p aleph-vmm

.PHONY: image
image: binaries ## Build build/aleph-node.efi, build/aleph-node.raw, build/release.json
	$(BUILDER) kernel
	$(BUILDER) guest-kernel --out build/guest
	$(BUILDER) build --profile release --init $(GUEST_BIN)/aleph-init --vmm $(GUEST_BIN)/aleph-vmm \
	  --agent $(HOST_BIN)/aleph-node --guest-kernel build/guest/vmlinux --out build

.PHONY: image-debug
image-debug: image
	$(BUILDER) build --profile debug --init $(GUEST_BIN)/aleph-init --vmm $(GUEST_BIN)/aleph-vmm \
	  --agent $(HOST_BIN)/aleph-node --guest-kernel build/guest/vmlinux --out build/debug

.PHONY: rootfs
rootfs: binaries ## Build build/debian-12.img, a customer's root file system
	$(BUILDER) rootfs --out build/debian-12.img

.PHONY: run
run: image rootfs ## Boot a node and run a VM on it, every step verified (ONCE=1: then stop)
	$(HOST_BIN)/aleph-walkthrough $(if $(ONCE),--once)

.PHONY: test
test: ## Every test that fits CI; ends with one line of totals
	@rm -rf $(REPORTS)
	@status=0; \
	for part in unit contracts qemu; do $(MAKE) --no-print-directory test-$$part || status=1; done; \
	tools/totals $(REPORTS) || status=1; exit $$status

.PHONY: test-unit
test-unit: binaries ## Tests of the crates on this machine
	cargo fmt --all --check
	$(NEXTEST) -E 'not package(aleph-qemu-tests)' || status=1; \
	cp build/nextest/ci/junit.xml $(REPORTS)/unit.xml; exit $${status:-0}

.PHONY: test-contracts
test-contracts: setup ## Tests of the contracts, their storage, sizes and gas
	cd contracts && tools/forge fmt --check && node tools/sizes.mjs && node tools/abi.mjs --check && node tools/layout.mjs --check
	cd contracts && status=0; tools/forge test --junit > ../$(REPORTS)/contracts.xml || status=1; \
	node tools/gas.mjs --check || status=1; cd .. && tools/totals $(REPORTS)/contracts.xml; exit $$status

.PHONY: test-qemu
test-qemu: image-debug rootfs ## Black-box cases over the real image in QEMU
	$(NEXTEST) -E 'package(aleph-qemu-tests)' || status=1; \
	cp build/nextest/ci/junit.xml $(REPORTS)/qemu.xml; exit $${status:-0}

.PHONY: bench
bench: image rootfs ## Measure: how long each step takes from power-on to a running machine
	$(HOST_BIN)/aleph-walkthrough --rounds $(or $(ROUNDS),3)
	@jq -r '"UKI \(.uki.size_bytes) bytes, disk \(.disk.size_bytes) bytes, \(.executables | length) executables"' build/release.json

.PHONY: nightly
nightly: contracts-nightly nightly-crash nightly-fuzz nightly-reproducible ## Everything that takes longer

.PHONY: contracts-nightly
contracts-nightly: setup ## The contracts in depth: long invariants, proofs, slither, mutations, coverage
	cd contracts && FOUNDRY_PROFILE=nightly tools/forge test
	cd contracts && tools/halmos && tools/slither && node tools/mutate.mjs && tools/coverage

.PHONY: nightly-crash
nightly-crash: binaries ## Many rounds of kill -9 against the database
	ALEPH_CRASH_ROUNDS=$(or $(ROUNDS),200) $(CARGO) nextest run --locked --workspace --all-features -E 'package(aleph-storage) & kind(test)'

.PHONY: nightly-fuzz
nightly-fuzz: setup ## Every fuzz target for SECONDS_EACH seconds (needs a nightly compiler)
	cargo fuzz --version >/dev/null 2>&1 || cargo install --locked cargo-fuzz
	cd fuzz && for target in $$(cargo +nightly fuzz list); do \
	  cargo +nightly fuzz run "$$target" -- -max_total_time=$(or $(SECONDS_EACH),300) -timeout=10 -rss_limit_mb=2048; done

.PHONY: nightly-reproducible
nightly-reproducible: image ## Compile and build the image again from scratch, and compare the bytes
	tools/reproduce

.PHONY: lint
lint: setup ## Formatting, clippy, and the contracts' linter
	cargo fmt --all --check
	$(CARGO) clippy --locked --workspace --all-features --all-targets -- -D warnings
	cd contracts && npx forge fmt --check

.PHONY: clean
clean: ## Remove what was built in the checkout
	-$(HOST_BIN)/aleph devnet down 2>/dev/null
	rm -rf build target contracts/{out,cache}* contracts/broadcast fuzz/{target,corpus,artifacts}

.PHONY: clean-all
clean-all: clean ## Remove the caches and the npm packages, too
	cd $(ALEPH_CACHE) 2>/dev/null && rm -rf target* kernel-* guest-kernel-* rootfs-* contracts-* .kernel-* .rootfs-* || true
	rmdir $(ALEPH_CACHE) 2>/dev/null || true
	rm -rf contracts/node_modules
