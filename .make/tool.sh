#!/usr/bin/env bash
# tool.sh NAME PACKAGE VERSION: makes .make/bin/NAME that very version, built once and kept.
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1 package=$2 version=$3
bin=$PWD/.make/bin
mkdir -p "$bin"

# built FILE: it is this version, and built with the Go in use (an older Go cannot read newer sources).
built() {
  [ -x "$1" ] && go version -m "$1" 2>/dev/null | awk -v v="$version" -v g="$(go env GOVERSION)" '
    NR == 1 && $NF == g { go = 1 } $1 == "mod" && $3 == v { ok = 1 } END { exit !(ok && go) }'
}

built "$bin/$name" && exit 0
if built "$(command -v "$name" || true)"; then # installed already, the right one
  ln -sf "$(command -v "$name")" "$bin/$name"
  exit 0
fi
echo "building $name $version (once)" >&2
GOFLAGS= GOBIN=$bin go install "$package@$version"
