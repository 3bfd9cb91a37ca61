#!/usr/bin/env bash
# Builds the sdist, and from it the wheel; installs that outside the checkout on every Python that the
# machine has, and uses it there as a user would. Then looks whether everything that the extras bring
# comes as a wheel, on each platform and Python.
# Usage: scripts/check_wheel.sh [DIRECTORY]     where sdist and wheel are put that have passed
set -euo pipefail
target=$(realpath -m "${1:-/nonexistent}")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
bin=$PWD/.venvs/test/bin
program=$PWD/scripts/use_wheel.py
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never
pythons="3.11 3.12 3.13 3.14"

fail() {
  echo "check_wheel: $*" >&2
  exit 1
}

PATH=$bin:$PATH $bin/uv build --quiet --no-build-isolation --python "$bin/python" --out-dir "$work/dist" .
wheel=$(echo "$work"/dist/kern_agents-*.whl)
# The versions of the lock, so that the day on which this runs makes no difference.
sed -n 's/^\([a-z].*\) \\$/\1/p' requirements.lock >"$work/versions.txt"
cd "$work"

# use PYTHON INSTALL...: has a new environment of this Python, in which INSTALL puts kern and its extras.
use() {
  local python=$1 venv=venv-$1
  shift
  $bin/uv venv --quiet --seed --python "$python" "$venv"
  "$@" --quiet --python "$venv/bin/python" --only-binary :all: -c versions.txt \
    "kern-agents[postgres,openai] @ file://$wheel"
  "$venv/bin/python" "$program"
  "$venv/bin/kern" --help >/dev/null
}

tried=()
for python in $pythons; do
  found=$($bin/uv python find --no-project --system "$python" 2>/dev/null) || continue
  use "$python" $bin/uv pip install
  tried+=("$("$found" -c 'import platform; print(platform.python_version())')")
done
[ ${#tried[@]} -gt 0 ] || fail "there is no Python of $pythons here"
# What users type: pip itself takes the extras from where it finds the package.
venv-${tried[0]%.*}/bin/pip uninstall --quiet --yes kern-agents
venv-${tried[0]%.*}/bin/pip install --quiet --disable-pip-version-check --no-index --find-links dist \
  'kern-agents[postgres,openai]'
venv-${tried[0]%.*}/bin/python "$program"

for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do
  for python in $pythons; do
    echo "kern-agents[all] @ file://$wheel" |
      $bin/uv pip compile --quiet --python "$bin/python" - -c versions.txt --only-binary :all: \
        --python-platform $platform --python-version "$python" >/dev/null ||
      fail "the extras cannot be installed from wheels on $platform, Python $python"
  done
done
if [ "$target" != /nonexistent ]; then
  mkdir -p "$target"
  cp dist/*.whl dist/*.tar.gz "$target"
fi
echo "$(basename "$wheel") works outside the checkout on Python ${tried[*]}, and no extra compiles"
