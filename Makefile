# Targets for people; CI calls `make test` too.
#
#   make demo    start the embedded cluster, run the example under gVisor, show its kernel, clean up
#   make test    every check and every test; the last line says how many passed and failed
#   make help    the rest

SHELL := /bin/bash
# The pinned Node (npm installs it) and the tools come before whatever the system has.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export NODE_OPTIONS := --disable-warning=ExperimentalWarning

.PHONY: help install demo test check unit test-crash bench format generate pack image test-differential test-history test-cluster conformance clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile | sed '/^Targets/d'
	@echo
	@echo "  make check          types, lint, format, dead code, layers, documents, generated files"
	@echo "  make unit           the tests that need neither root nor gVisor"
	@echo "  make test-differential   the embedded API server against a real kube-apiserver (needs Go)"
	@echo "  make test-cluster   all that needs a real control plane, of Kubernetes VERSION=v1.32.13 where one is named (needs Go)"
	@echo "  make test-history   random traffic and faults against the API server's storage and watches: SEED=1 DURATION=600"
	@echo "  make conformance    Kubernetes' own conformance tests, FOCUS=REGEX or SIG=NAME of them (needs Go)"
	@echo "  make test-crash     kill -9 of the cluster, twenty times and at every step"
	@echo "  make bench          the benchmarks, as JSON lines"
	@echo "  make generate       writes generated files again (needs Go)"
	@echo "  make format         formats the sources"
	@echo "  make pack           the npm package, as a .tgz in dist/"
	@echo "  make image          the container image of the controllers, as an oci-archive in dist/"

# Also puts the pinned Node in place: it comes as an npm package of the platform, without an install script. Versions and
# digests are the lockfile's; `npm ci` would insist on entries for platforms whose packages not every mirror carries.
install: node_modules/.caisson-installed
node_modules/.caisson-installed: package-lock.json
	npm install --no-save --ignore-scripts --loglevel=error
	@touch $@

demo: install
	bash examples/demo.sh

test: install
	bash test/run.sh

check: install
	node test/checks/run-checks.ts

unit: install
	vitest run --project unit

test-differential: install
	node test/differential/run.ts

test-history: install
	node test/history/run.ts

# One version after the other, since two control planes beside each other would measure each other.
test-cluster: install
	CAISSON_TEST_KUBERNETES=$(VERSION) node test/cluster/run-tests.ts
	node test/cluster/build-control-plane.ts agent-sandbox
	CAISSON_TEST_KUBERNETES=$(VERSION) CAISSON_TEST_FAULTS=all CAISSON_TEST_GITOPS=all vitest run test/e2e/operator test/e2e/gitops.test.ts test/e2e/manifests.test.ts test/e2e/helm.test.ts test/e2e/node-join.test.ts

conformance: install
	node test/conformance/run.ts $(if $(FOCUS),--focus '$(FOCUS)') $(if $(SIG),--sig $(SIG))

test-crash: install
	CAISSON_TEST_CRASHES=20 CAISSON_TEST_STEPS=all vitest run test/e2e/crash.test.ts test/e2e/killed-at-steps.test.ts

bench: install
	bash test/bench/run.sh

# Each reads what those before it wrote.
generate: install
	node packages/api/scripts/generate-core-schemas.ts
	node packages/api/scripts/generate-crds.ts
	node packages/cli/scripts/generate-deploy.ts
	node packages/apiserver/scripts/generate-schemas.ts
	node packages/apiserver/scripts/generate-protobuf.ts

format: install
	biome check --write .

pack: install
	node packages/cli/scripts/pack.ts

image: install
	node packages/cli/scripts/build-image.ts

clean:
	rm -rf node_modules dist
