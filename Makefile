# Everything a newcomer needs, by name. `make` alone lists it.

TARGET := $(or $(CARGO_TARGET_DIR),target)
BIN := $(TARGET)/release
SEEDS ?= 200
MINUTES ?= 10
SIMULATION := cargo test --locked --release --features mutants --test simulation --test nookeeper --

.DEFAULT_GOAL := help
.PHONY: help build install cluster run1 run2 run3 test verify fix sim chaos bench bench-join bench-plan clean-data

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build the programs, optimised
	cargo build --release --locked

install: ## install the programs with cargo
	cargo install --locked --path .

cluster: build ## run three nodes in the foreground; Ctrl-C stops them
	@config/cluster.sh $(BIN)/kv-server

run1: build ## run node 1 alone
	@$(BIN)/kv-server --config config/node1.toml

run2: build ## run node 2 alone
	@$(BIN)/kv-server --config config/node2.toml

run3: build ## run node 3 alone
	@$(BIN)/kv-server --config config/node3.toml

# All features is what is developed. The default ones have other sockets (wire::net); the client's alone must stand without a node.
test: ## run all tests
	cargo test --locked --all-features
	cargo test --locked --lib --bins --test client --test config
	cargo test --locked --test cluster -- one_killed all_killed operations command_line in_process
	cargo test --locked --no-default-features --features client

verify: ## check format, lints, docs and tests; changes nothing
	cargo fmt --check
	cargo clippy --locked --all-targets --all-features -- -D warnings
	cargo clippy --locked --all-targets -- -D warnings
	cargo check --locked --no-default-features --features client
	RUSTDOCFLAGS="-D warnings --cfg tokio_unstable" cargo doc --locked --no-deps --all-features
	RUSTDOCFLAGS="-D warnings --cfg tokio_unstable" cargo doc --locked --no-deps --lib --no-default-features --features client
	$(MAKE) test

fix: ## format, and apply what the lints suggest
	cargo fmt
	cargo clippy --fix --allow-dirty --allow-staged --all-targets --all-features
	cargo fmt

sim: ## search SEEDS simulated histories for a broken promise, then for planted faults
	KV_SIM_SEEDS=$(SEEDS) $(SIMULATION) --nocapture seeds_pass without_the_mutant
	$(SIMULATION) --nocapture --ignored every_mutant_is_found

chaos: ## strike five real nodes for MINUTES and check the promises; SEED=N brings the same faults again
	KV_CHAOS_MINUTES=$(MINUTES) $(if $(SEED),KV_CHAOS_SEED=$(SEED)) cargo test --locked --release --test chaos -- --nocapture promises_hold

bench: build ## measure a fresh local cluster on this disk; takes a minute
	@$(BIN)/kv-bench cluster --dir $(TARGET)

bench-join: build ## measure what a joining node costs applications, and how fast it gets its share; takes a minute
	@$(BIN)/kv-bench join --dir $(TARGET)

bench-plan: build ## work out who owns what among 1,000 nodes, and after changes
	@$(BIN)/kv-bench plan

clean-data: ## delete the local cluster's data
	rm -rf data
