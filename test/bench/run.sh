#!/usr/bin/env bash
# Every benchmark, one after the other; JSON lines on standard output. They judge nothing and gate nothing.
set -uo pipefail
cd "$(dirname "$0")"
export CAISSON_TOOLS_DIR=${CAISSON_TOOLS_DIR:-$HOME/.cache/caisson/tools}
node start-up.ts
node run-latency.ts
node ready-latency.ts
node pool-members.ts
node claim-latency.ts
node network-start.ts
node sleep-and-fork.ts
node sleep-and-fork.ts --megabytes 100
node exec-latency.ts
node throughput.ts
node idle-memory.ts
node idle-sandboxes.ts
node image-pull.ts
node wire-forms.ts
if command -v go >/dev/null; then node api-server.ts && node operator-scale.ts; else echo "Go is not installed: nothing is measured on a real one" >&2; fi
