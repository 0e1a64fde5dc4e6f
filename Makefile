# The two commands of the README, and what they are made of.
CARGO ?= cargo

.PHONY: run build test test-cluster check bench

## run: build the platform and start it here (Ctrl-C ends it)
run: build
	./target/release/fission up

build:
	$(CARGO) build --release --locked -p fission

## test: every test there is; builds kubectl and a Python client on first use
test:
	./tests/run

## test-cluster: the tests on a real Kubernetes, which is built on first use; with KUBECONFIG on that cluster
test-cluster:
	./tests/cluster/run

## check: formatting, lints, house rules, docs (crate roots may point at private rooms: they guide who works on them)
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features fission/cluster-tests --locked -- -D warnings
	$(CARGO) xtask tidy
	$(CARGO) xtask codegen --check
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --locked

## bench: the table of bench/README.md
bench: build
	./bench/run
