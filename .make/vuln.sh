#!/usr/bin/env bash
# Runs govulncheck. A known vulnerability in code that we call fails. When the database cannot be reached, that is said,
# and fails only where CI_REQUIRE_VULN is set: no answer is not a good answer, but it is not a bad one either.
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(.make/bin/govulncheck ./... 2>&1)
code=$?
if [ $code -ne 0 ] && [ $code -ne 3 ] &&
  grep -Eq 'dial tcp|no such host|i/o timeout|connection refused|Client\.Timeout|TLS handshake|HTTP GET|unexpected status|fetching vulnerabilities' <<<"$out"; then
  echo "vuln: not checked: database unreachable"
  [ -z "${CI_REQUIRE_VULN:-}" ] || { echo "vuln: CI_REQUIRE_VULN is set, so this fails" >&2; exit 1; }
  exit 0
fi
printf '%s\n' "$out"
exit $code
