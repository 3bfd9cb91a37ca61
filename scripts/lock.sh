#!/usr/bin/env bash
# Writes requirements.lock, of everything, and requirements-demo.lock, of the same versions for what
# the demonstration needs. Versions stay, but for what the arguments raise, which go to uv:
# --upgrade, --upgrade-package NAME. With --check it writes nothing, and fails where a lock is not
# what pyproject.toml asks for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
export UV_CUSTOM_COMPILE_COMMAND=scripts/lock.sh UV_PYTHON_DOWNLOADS=never
target=.
if [ "${1:-}" = --check ]; then
  target=$(mktemp -d)
  trap 'rm -rf "$target"' EXIT
  cp requirements.lock requirements-demo.lock "$target"
  shift
fi

compile() {
  .venvs/test/bin/uv pip compile pyproject.toml --quiet --universal --all-extras --generate-hashes "$@"
}
compile --group dev --group demo --group docs -o "$target/requirements.lock" "$@"
compile --group demo -c "$target/requirements.lock" -o "$target/requirements-demo.lock"

[ "$target" = . ] && exit
for lock in requirements.lock requirements-demo.lock; do
  # Without the hashes: a version may get another wheel on any day.
  diff <(grep '^[a-z]' $lock) <(grep '^[a-z]' "$target/$lock") >&2 ||
    { echo "lock: $lock is not what pyproject.toml asks for; run scripts/lock.sh" >&2 && exit 1; }
done
