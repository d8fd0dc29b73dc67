#!/usr/bin/env bash
# Makes a container image, as an archive that `caisson image import` and `docker load` read, from Debian's busybox-static:
#   examples/busybox-image.sh FILE [NAME]
set -euo pipefail
file=$(realpath -m "$1")
name=${2:-busybox:latest}
busybox=
for candidate in "${CAISSON_TOOLS_DIR:-}/bin/busybox" "${CAISSON_DATA_DIR:-${XDG_STATE_HOME:-$HOME/.local/state}/caisson}/tools/bin/busybox" "$(command -v busybox || true)"; do
  if [ -x "$candidate" ]; then busybox=$candidate; break; fi
done
if [ -z "$busybox" ]; then
  echo "busybox-image.sh: no busybox found: run 'caisson doctor --fix', which fetches one" >&2
  exit 69
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root"/{bin,etc,tmp,root,home,var,dev,proc,sys} "$work/image/layer"
chmod 1777 "$work/root/tmp"
cp "$busybox" "$work/root/bin/busybox"
chmod 755 "$work/root/bin/busybox"
for applet in $("$busybox" --list); do [ "$applet" = busybox ] || ln -s busybox "$work/root/bin/$applet"; done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$work/root/etc/passwd"
printf 'root:x:0:\nnobody:x:65534:\n' >"$work/root/etc/group"

# The same files give the same image on every machine.
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work/root" -cf "$work/image/layer/layer.tar" .
layer=$(sha256sum "$work/image/layer/layer.tar" | cut -d' ' -f1)
case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
cat >"$work/config.json" <<JSON
{"architecture":"$arch","os":"linux","config":{"Cmd":["sh"],"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":["sha256:$layer"]},"created":"1970-01-01T00:00:00Z","history":[]}
JSON
config=$(sha256sum "$work/config.json" | cut -d' ' -f1)
mv "$work/config.json" "$work/image/$config.json"
printf '[{"Config":"%s.json","RepoTags":["%s"],"Layers":["layer/layer.tar"]}]\n' "$config" "$name" >"$work/image/manifest.json"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$work/image" -cf "$file" .
