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

# find_python VERSION: a Python of it, on the path or among those of pyenv.
find_python() {
  local candidate
  for candidate in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
    if "$candidate" -c "import sys; assert '%d.%d' % sys.version_info[:2] == '$1'" 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

tried=()
for version in $pythons; do
  python=$(find_python "$version") || continue
  $bin/uv venv --quiet --python "$python" "venv-$version"
  $bin/uv pip install --quiet --python "venv-$version/bin/python" --only-binary :all: -c versions.txt \
    "kern-agents[postgres,openai] @ file://$wheel"
  "venv-$version/bin/python" "$program"
  "venv-$version/bin/kern" --help >/dev/null
  tried+=("$version")
done
[ ${#tried[@]} -gt 0 ] || fail "there is no Python of $pythons here"
# What users type: pip finds kern by its name, and takes the extras from there.
$bin/uv venv --quiet --seed --python "$(find_python "${tried[-1]}")" venv-pip
venv-pip/bin/pip install --quiet --disable-pip-version-check --find-links dist --only-binary :all: -c versions.txt \
  'kern-agents[postgres,openai]'
venv-pip/bin/python "$program"

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
