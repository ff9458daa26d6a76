#!/usr/bin/env bash
# benchstat.sh OLD NEW BENCH: runs the Go benchmarks of two commits in turns, so that what slows the machine down slows
# both, and compares them. Each commit is checked out beside this work tree, which is not touched.
set -euo pipefail
cd "$(dirname "$0")/.."
bench=$3 tmp=$PWD/.make/tmp/benchstat count=${COUNT:-6}
mkdir -p "$tmp"
clean() { for side in old new; do git worktree remove --force "$tmp/$side" 2>/dev/null || true; done; }
trap clean EXIT
clean
git worktree add --quiet --detach "$tmp/old" "$1"
git worktree add --quiet --detach "$tmp/new" "$2"
: > "$tmp/old.txt"
: > "$tmp/new.txt"
for ((i = 1; i <= count; i++)); do
  for side in old new; do
    printf 'round %d of %d: %s\n' "$i" "$count" "$side" >&2
    (cd "$tmp/$side" && go test -run '^$' -bench "$bench" -benchmem ./...) | grep -E '^(Benchmark|pkg:|goos:|goarch:|cpu:)' >> "$tmp/$side.txt" || true
  done
done
benchstat "old=$tmp/old.txt" "new=$tmp/new.txt"
