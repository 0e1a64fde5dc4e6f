#!/usr/bin/env bash
# Prints the path of the kubectl the tests use, building it once per machine from its pinned Go module.
set -euo pipefail
if [ -n "${KUBECTL:-}" ]; then echo "$KUBECTL"; exit 0; fi
here=$(cd "$(dirname "$0")/kubectl" && pwd)
version=$(sed -n 's|^\tk8s.io/kubectl \(v[0-9.]*\).*|\1|p' "$here/go.mod" | sed 's/^v0/v1/')
cache="${XDG_CACHE_HOME:-$HOME/.cache}/fission-tests"
binary="$cache/kubectl-$version"
if [ ! -x "$binary" ]; then
    command -v go >/dev/null || { echo "kubectl must be built, which needs Go (or set KUBECTL)" >&2; exit 1; }
    mkdir -p "$cache"
    echo "building kubectl $version (once per machine)" >&2
    stamp="-s -w -X k8s.io/component-base/version.gitVersion=$version"
    stamp="$stamp -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${version:3:2}"
    (cd "$here" && CGO_ENABLED=0 go build -trimpath -ldflags "$stamp" -o "$binary.$$" . && mv "$binary.$$" "$binary") >&2
fi
echo "$binary"
