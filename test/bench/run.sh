#!/usr/bin/env bash
# Every benchmark, one after the other; JSON lines on standard output. They judge nothing and gate nothing.
set -uo pipefail
cd "$(dirname "$0")"
export CAISSON_TOOLS_DIR=${CAISSON_TOOLS_DIR:-$HOME/.cache/caisson/tools}
kubectl_directory=$(node ../cluster/build-control-plane.ts kubectl) && export PATH="$kubectl_directory:$PATH"
node start-up.ts
node run-latency.ts
node ready-latency.ts
node pool-members.ts
node claim-latency.ts
# A cluster of its own for one round of all phases; the client reads its kubeconfig with kubectl.
claims() (
  set -e
  CAISSON_DATA_DIR=$(mktemp -d)
  export CAISSON_DATA_DIR KUBECONFIG=$CAISSON_DATA_DIR/kubeconfig
  trap '../../bin/caisson down >&2; rm -rf "$CAISSON_DATA_DIR"' EXIT
  ../../bin/caisson up --detach --fake-runtime >&2
  node claims.mjs --runtime-class fake --label caisson
)
if command -v kubectl >/dev/null; then claims; else echo "kubectl is not installed: claims on a fake runtime are not measured" >&2; fi
node network-start.ts
node sleep-and-fork.ts
node sleep-and-fork.ts --megabytes 100
node exec-latency.ts
node throughput.ts
node idle-memory.ts
node idle-sandboxes.ts
node image-pull.ts
node wire-forms.ts
if command -v go >/dev/null; then node api-server.ts && node operator-scale.ts && node operator-claims.ts --rounds 1; else echo "Go is not installed: nothing is measured on a real one" >&2; fi
