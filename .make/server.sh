#!/usr/bin/env bash
# server.sh SERVER DIR: makes DIR/redis-server the server SERVER, a program or a folder that has redis-server or valkey-server, so that
# tests with DIR first on PATH use it and no other. It says which version that is, and fails where there is none.
set -euo pipefail
server=$1 dir=$2
if [ -d "$server" ]; then
  for name in redis-server valkey-server; do
    if [ -e "$server/$name" ]; then
      server=$server/$name
      break
    fi
  done
fi
if [ ! -f "$server" ] || [ ! -x "$server" ]; then
  echo "SERVER=$1 is neither a server program nor a folder with redis-server or valkey-server" >&2
  exit 1
fi
ln -sf "$(realpath "$server")" "$dir/redis-server"
version=$("$dir/redis-server" --version | head -n 1) || { echo "SERVER=$1 does not say its version" >&2; exit 1; }
case $version in
  *"erver v="*) ;;
  *) echo "SERVER=$1 is no Redis or Valkey server: it calls itself ${version:-nothing}" >&2; exit 1 ;;
esac
echo "the tests use ${version%% sha=*}" >&2
