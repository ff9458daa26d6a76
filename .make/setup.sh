#!/usr/bin/env bash
# Brings what the tests need beyond Go: a Redis server (they stop without one), a C compiler for the race detector and
# promtool for the monitoring checks (both needed in CI, done without elsewhere). Installs only what is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '%s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# root COMMAND... runs it with root's rights, or fails when we cannot have them without a question.
root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif have sudo && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi
}

fresh=
refresh() { # package lists, once; the old ones may do where that fails
  [ -n "$fresh" ] || root apt-get update -qq >/dev/null 2>&1 || true
  fresh=yes
}

# install DEBIAN-PACKAGE BREW-FORMULA ("" = no formula)
install() {
  if have apt-get; then
    root true || return 1
    refresh
    say "installing $1 (Debian package)"
    # Run level 1: a package brings its program, and must not start a service on this machine.
    root env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1" >/dev/null
  elif have brew && [ -n "$2" ]; then
    say "installing $2 (brew)"
    brew install --quiet "$2" >/dev/null
  else
    return 1
  fi
}

# The package brings a whole monitoring server and its service; promtool alone is taken out of it.
install_promtool() {
  if ! have apt-get; then install prometheus prometheus; return; fi
  refresh
  say "fetching promtool (from Debian package prometheus)"
  mkdir -p .make/bin .make/tmp
  rm -rf .make/tmp/promtool && mkdir .make/tmp/promtool
  (cd .make/tmp/promtool && apt-get download -qq prometheus >/dev/null 2>&1 && dpkg-deb -x prometheus_*.deb .) || return 1
  mv .make/tmp/promtool/usr/bin/promtool .make/bin/promtool
  rm -rf .make/tmp/promtool
}

if ! have redis-server && ! have valkey-server; then
  install redis-server redis || true
  if ! have redis-server && ! have valkey-server; then
    say "The tests need redis-server or valkey-server (6.2 or later) on PATH, and it cannot be installed from here. Install it, then run make test again:"
    say "  Debian, Ubuntu:  sudo apt-get install redis-server"
    say "  Fedora:          sudo dnf install valkey"
    say "  Alpine:          apk add valkey"
    say "  macOS:           brew install redis"
    exit 1
  fi
fi

if ! have promtool && ! install_promtool; then
  if [ "${CI:-}" = true ]; then say "promtool is missing: CI needs it for the monitoring checks"; exit 1; fi
  say "promtool is missing: the monitoring checks are SKIPPED here (Debian package prometheus, brew install prometheus); CI runs them"
fi

if [ "$(go env CGO_ENABLED)" != 1 ] && [ "$(go env GOOS)" != darwin ]; then # go switches cgo off where it finds no C compiler
  install gcc "" && install libc6-dev "" || true
  if [ "$(go env CGO_ENABLED)" != 1 ]; then
    if [ "${CI:-}" = true ]; then say "a C compiler is missing: CI needs it for the race detector"; exit 1; fi
    say "no C compiler here: the tests run WITHOUT the race detector; CI runs them with it"
  fi
fi
