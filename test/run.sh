#!/usr/bin/env bash
# Every check and every test. Goes on after a failure, so that one run tells all of it: what failed is said again at the end,
# and the last line counts.
set -uo pipefail
cd "$(dirname "$0")/.."
counts=$(mktemp)
export CAISSON_TEST_COUNTS=$counts
trap 'rm -f "$counts"' EXIT

failed() {
  echo "== FAILED: $1"
  printf '0 1 0\nFAILED %s\n' "$1" >>"$counts"
}

# One step that passes or fails as a whole counts as one test.
step() {
  local name=$1
  shift
  echo "== $name"
  if "$@"; then echo "1 0 0" >>"$counts"; else failed "$name"; fi
}

# A suite that counts its own tests; one that died before it counted is a failure.
suite() {
  local name=$1 before
  shift
  echo "== $name"
  before=$(wc -l <"$counts")
  "$@"
  local status=$?
  if [ "$(wc -l <"$counts")" = "$before" ]; then
    failed "$name ended with status $status before it counted its tests"
  fi
}

step checks node test/checks/run-checks.ts
export CAISSON_TOOLS_DIR=${CAISSON_TOOLS_DIR:-$HOME/.cache/caisson/tools}
step "gVisor and its companions are found or fetched" bin/caisson doctor --fix
kubectl_directory=$(node test/cluster/build-control-plane.ts kubectl) && export PATH="$kubectl_directory:$PATH"
if ! command -v kubectl >/dev/null; then
  echo "== kubectl is not installed and Go is not there to build it: the kubectl tests are not run"
fi
# Take minutes the first time, which the tests that need them are not given.
for program in all helm kwok copier argo kustomize-controller conformance metrics-server; do
  node test/cluster/build-control-plane.ts $program >/dev/null || break
done
suite tests vitest run
# A part of what `make test-cluster` runs.
if command -v go >/dev/null; then
  suite "the controllers' tests on a real kube-apiserver" node test/cluster/run-tests.ts \
    packages/controllers/src/{sandbox/sandbox,pool/pool,claim/claim}-controller.test.ts
  step "the embedded API server answers as a real kube-apiserver does" node test/differential/run.ts
fi

echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
grep '^FAILED ' "$counts"
awk '/^FAILED / { next } { p += $1; f += $2; s += $3 } END { if (s) printf "%d skipped\n", s; printf "%d passed, %d failed\n", p, f; exit f > 0 }' "$counts"
