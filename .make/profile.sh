#!/usr/bin/env bash
# Profiles each hot path with its Go benchmark: processor and heap, into .make/tmp/profiles, and shows the top of each.
# Look closer with: go tool pprof -http=: .make/tmp/profiles/NAME.cpu.prof
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p bin
out=$PWD/.make/tmp/profiles
mkdir -p "$out"

profile() { # profile NAME PACKAGE BENCHMARK
  printf '\n=== %s (%s in %s)\n' "$1" "$3" "$2"
  go test -run '^$' -bench "$3" -benchmem -o "$out/$1.test" -cpuprofile "$out/$1.cpu.prof" -memprofile "$out/$1.heap.prof" "$2" | grep '^Benchmark'
  printf 'processor:\n'
  go tool pprof -top -nodecount=12 "$out/$1.test" "$out/$1.cpu.prof" 2>/dev/null | sed -n '/flat%/,$p'
  printf 'heap, allocated bytes:\n'
  go tool pprof -top -nodecount=8 -sample_index=alloc_space "$out/$1.test" "$out/$1.heap.prof" 2>/dev/null | sed -n '/flat%/,$p'
}

profile columns ./triggers 'Columns|Record'
profile compile ./triggers Compile
profile read ./crmstore 'ReadColumns|ReadAll|ParseRecord'
profile write ./crmstore 'Write$'
profile delete ./crmstore Archive
profile import ./crmstore/csvfile 'Import|Rows'
printf '\n=== evaluate (our side of bin/benchmark -only evaluate)\n'
go build -o bin/benchmark ./cmd/benchmark
bin/benchmark -contacts 200000 -rounds 3 -postgres=false -only evaluate -cpuprofile "$out/evaluate.cpu.prof"
for work in 'columns 0.01 % match' 'columns 20 % match' 'text alone all records'; do
  printf '\n%s\n' "$work"
  go tool pprof -top -nodecount=15 -tagfocus "act=$work #0" bin/benchmark "$out/evaluate.cpu.prof" 2>/dev/null | sed -n '/flat%/,$p'
done
printf '\nprofiles are in %s\n' "${out#"$PWD"/}"
