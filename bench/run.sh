#!/usr/bin/env bash
# Measures kern beside its peers, and writes docs/explanation/benchmarks.md.
# Usage: bench/run.sh [--quick] [--only NAME,...] [--rounds N] [--output DIRECTORY]
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
started_in=$PWD
cd "$root"

# environment NAME REQUIREMENTS: makes .venvs/bench-NAME, or leaves it where the file is unchanged.
environment() {
  local venv=.venvs/bench-$1 requirements=$2
  local stamp=$venv/.bench-stamp wanted
  wanted=$({ echo "$root"; cat "$requirements"; } | cksum)
  if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
    return
  fi
  echo "Making $venv ..."
  if command -v uv >/dev/null; then
    [ -x "$venv/bin/python" ] || uv venv --quiet --python .venvs/bench-kern/bin/python "$venv"
    uv pip install --quiet --no-progress --compile-bytecode --python "$venv/bin/python" --no-deps -r "$requirements"
  else
    [ -x "$venv/bin/pip" ] || .venvs/bench-kern/bin/python -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
      -r "$requirements"
  fi
  echo "$wanted" >"$stamp"
}

only=
for ((place = 1; place <= $#; place++)); do
  case ${!place} in
    --only) next=$((place + 1)) && only=${!next:-} ;;
    --only=*) only=${!place#--only=} ;;
  esac
done

# The kern that is measured is this checkout, and what it needs is what it is tested with.
scripts/setup.sh bench-kern
scripts/setup.sh bench-driver
environment driver bench/driver/requirements.txt
for requirements in bench/contenders/*.txt; do
  name=$(basename "$requirements" .txt)
  case ,$only, in
    ,, | *,"$name",*) environment "$name" "$requirements" ;;
  esac
done

# 5,000 runs in flight hold as many connections, and so does the stand-in model.
ulimit -n 65536 2>/dev/null || ulimit -n "$(ulimit -Hn)"

export PYTHONPATH=$root
cd "$started_in"
exec "$root/.venvs/bench-driver/bin/python" -m bench.driver "$@"
