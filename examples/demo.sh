#!/usr/bin/env bash
# The example of the README from nothing to nothing: brings what is missing, starts an embedded cluster of its own, runs
# a Sandbox under gVisor, shows the kernel that its processes see, and cleans up whatever happens.
set -euo pipefail
cd "$(dirname "$0")/.."

# The tools stay where `caisson run` looks for them afterwards; all else of this demo goes.
CAISSON_TOOLS_DIR=${CAISSON_TOOLS_DIR:-${CAISSON_DATA_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/caisson}/tools}
CAISSON_DATA_DIR=$(mktemp -d "${TMPDIR:-/tmp}/caisson-demo-XXXXXX")
export CAISSON_DATA_DIR CAISSON_TOOLS_DIR
cleanup() {
  bin/caisson down || true
  rm -rf "$CAISSON_DATA_DIR"
}
trap cleanup EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. gVisor and its companions"
bin/caisson doctor --fix

say "2. An image, made from this machine's own packages: busybox"
archive=$CAISSON_DATA_DIR/busybox.tar
bash examples/busybox-image.sh "$archive"
bin/caisson image import "$archive"

say "3. The embedded cluster"
bin/caisson up --detach

say "4. A Sandbox"
bin/caisson apply --wait -f examples/gvisor-sandbox.yaml

say "5. The kernel inside"
bin/caisson exec gvisor-test -- dmesg | head -5

say "6. Away with it"
bin/caisson rm gvisor-test
