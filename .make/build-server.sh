#!/usr/bin/env bash
# build-server.sh NAME: builds a server from its released source, once, and prints the folder that make test SERVER=... takes. What is
# downloaded has the SHA-256 that Redis publishes in redis/redis-hashes, and Valkey in valkey-io/valkey-container.
# It needs curl, a C compiler and the headers of OpenSSL (Debian package libssl-dev), since tests speak TLS.
set -euo pipefail
cd "$(dirname "$0")/.."
redis=https://download.redis.io/releases
valkey=https://github.com/valkey-io/valkey/archive/refs/tags
case ${1:-} in
  redis-6.2) url=$redis/redis-6.2.16.tar.gz sum=846bff83c26d827d49f8cc8114ea9d1e72eea1169f7de36b8135ea2cec104e7d ;;
  redis-7.4) url=$redis/redis-7.4.1.tar.gz sum=bc34b878eb89421bbfca6fa78752343bf37af312a09eb0fae47c9575977dfaa2 ;;
  redis-8.2) url=$redis/redis-8.2.8.tar.gz sum=01354ee4449e758e6e45d056fe5802abd9ccde4d669b79c9d5e9f6d730a80759 ;;
  valkey-8.0) url=$valkey/8.0.2.tar.gz sum=e052c45b3cbe512e24fdfdc3fd337f9f5e4b8f8b8713f349ba867b829c8ff11a ;;
  *) echo "make server NAME=redis-6.2, redis-7.4, redis-8.2 or valkey-8.0" >&2; exit 2 ;;
esac
built=$PWD/.make/bin/servers/$1-${sum:0:8}
program=${1%%-*}-server
if [ ! -x "$built/$program" ]; then
  work=.make/tmp/$1
  rm -rf "$work" && mkdir -p "$work" "$built"
  echo "fetching and building $1 (once)" >&2
  curl --fail --silent --show-error --location --proto '=https' --retry 3 --output "$work/source.tar.gz" "$url"
  echo "$sum  $work/source.tar.gz" | sha256sum --check --quiet >&2
  tar -x -z -f "$work/source.tar.gz" -C "$work" --strip-components 1
  make -C "$work" -j "$(nproc)" MALLOC=libc BUILD_TLS=yes >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log" >&2; exit 1; }
  mv "$work/src/$program" "$built/$program"
  rm -rf "$work"
fi
echo "$built"
