#!/usr/bin/env bash
# Looks whether a tag is that of kern's version and has its section, with a date, in CHANGELOG.md,
# which it writes to a file.
# Usage: scripts/check_release.sh TAG FILE
set -euo pipefail
tag=${1:?"usage: scripts/check_release.sh TAG FILE"}
file=${2:?"usage: scripts/check_release.sh TAG FILE"}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
  echo "check_release: $*" >&2
  exit 1
}

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
[ "$tag" = "v$version" ] || fail "the tag is $tag, and pyproject.toml has the version $version"
grep -qx "__version__ = \"$version\"" src/kern/__init__.py || fail "kern.__version__ is not $version"
grep -qE "^## \[$version\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md ||
  fail "CHANGELOG.md has no section [$version] with a date"
awk -v begins="## [$version]" 'index($0, "## [") == 1 { in_it = index($0, begins) == 1; next } in_it' \
  CHANGELOG.md >"$file"
grep -q '[^[:space:]]' "$file" || fail "CHANGELOG.md says nothing of $version"
echo "$tag can be released"
