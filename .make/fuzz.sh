#!/usr/bin/env bash
# fuzz.sh TIME: fuzzes each target for TIME (such as 10s). With FUZZTOTAL (seconds) the targets share that much at most.
set -euo pipefail
cd "$(dirname "$0")/.."
time=$1
targets=()
while IFS= read -r t; do targets+=("$t"); done < <(git ls-files --cached --others --exclude-standard '*_test.go' |
  xargs -r awk '/^func Fuzz[A-Za-z0-9_]*\(/ {dir = FILENAME; sub(/\/[^\/]*$/, "", dir); name = $2; sub(/\(.*/, "", name); print "./" dir, name}' | sort -u)
n=${#targets[@]}
if [ "$n" = 0 ]; then echo "fuzz: there are no fuzz targets"; exit 0; fi
if [ -n "${FUZZTOTAL:-}" ]; then
  share=$((FUZZTOTAL / n)) most=${time%s}
  [ "$share" -ge "$most" ] || time=$((share > 0 ? share : 1))s
fi
for t in "${targets[@]}"; do
  read -r package name <<<"$t"
  echo "fuzz: $package $name for $time"
  go test -run '^$' -fuzz "^$name\$" -fuzztime "$time" "$package"
done
echo "fuzz: $n targets, $time each, nothing found"
