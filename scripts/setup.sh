#!/usr/bin/env bash
# Makes the virtual environment .venvs/NAME with kern and everything in requirements.lock; the one
# with the name demo has what is in requirements-demo.lock.
# Usage: scripts/setup.sh NAME [PYTHON]
set -euo pipefail

name=${1:?"usage: scripts/setup.sh NAME [PYTHON]"}
asked=${2:-}
pythons=${asked:-python3.14 python3.13 python3.12 python3.11 python3}
lock=requirements.lock
compile=--compile
# Of what the demonstration installs, little is imported.
[ "$name" != demo ] || { lock=requirements-demo.lock && compile=--no-compile; }
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
venv=.venvs/$name
stamp=$venv/.kern-stamp
log=
job=

fail() {
  printf 'setup: %s\n' "$@" >&2
  exit 1
}

clean_up() {
  [ -z "$job" ] || kill "$job" 2>/dev/null || true
  [ -z "$log" ] || rm -f "$log"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# step TEXT COMMAND...: runs a command and shows its name and the seconds; its output only if it fails.
step() {
  local text=$1 began=$SECONDS
  shift
  [ -t 1 ] || printf '%s ...\n' "$text"
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null &
  job=$!
  while kill -0 "$job" 2>/dev/null; do
    [ ! -t 1 ] || printf '\r%s ... %s s' "$text" $((SECONDS - began))
    sleep 0.2
  done
  local code=0
  wait "$job" || code=$?
  job=
  if [ "$code" != 0 ]; then
    cat "$log" >&2
    fail "'$text' failed (exit code $code); what it printed is above"
  fi
  rm -f "$log"
  log=
  if [ -t 1 ]; then printf '\r%s: %s s    \n' "$text" $((SECONDS - began)); else
    printf '%s: %s s\n' "$text" $((SECONDS - began))
  fi
}

# find_python CODE: the first interpreter of Python 3.11 or newer that also runs CODE.
find_python() {
  local candidate
  for candidate in $pythons; do
    if "$candidate" -c "import sys; assert sys.version_info >= (3, 11); $1" 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

make_with_uv() {
  local python
  # With no such interpreter at hand uv fetches one.
  python=$(find_python '') || python=${asked:->=3.11}
  [ -x "$venv/bin/python" ] || step "Making $venv (uv)" uv venv --quiet --python "$python" "$venv"
  local install="uv pip install --python $venv/bin/python --no-deps"
  step "Installing $packages packages" $install --no-progress -r $lock
  step "Installing kern" $install --no-build-isolation -e .
}

make_with_pip() {
  local python
  if ! python=$(find_python 'import venv, ensurepip'); then
    if find_python '' >/dev/null; then
      fail "this Python cannot make virtual environments (its venv module is missing)" \
        "on Debian and Ubuntu: sudo apt-get install python3-venv" \
        "or install uv (https://docs.astral.sh/uv/) and run this again"
    fi
    fail "kern needs Python 3.11 or newer, and none was found" \
      "on Debian and Ubuntu: sudo apt-get install python3 python3-venv" \
      "on macOS: brew install python@3.13" \
      "or install uv (https://docs.astral.sh/uv/) and run this again"
  fi
  [ -x "$venv/bin/pip" ] || step "Making $venv ($python)" "$python" -m venv --clear "$venv"
  local install="$venv/bin/python -m pip install --quiet --disable-pip-version-check $compile --no-deps"
  step "Installing $packages packages" $install -r $lock
  step "Installing kern" $install --no-build-isolation -e .
}

packages=$(grep -c '^[a-z]' $lock)
wanted=$({ echo "$root"; cat $lock pyproject.toml; } | cksum)
if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  exit 0
fi

# A virtual environment of a removed Python, or one that was moved here, cannot be mended.
"$venv/bin/python" -c '' 2>/dev/null && grep -qF "$root/$venv" "$venv/bin/activate" || rm -rf "$venv"

mkdir -p .venvs
if command -v uv >/dev/null; then make_with_uv; else make_with_pip; fi
echo "$wanted" >"$stamp"
echo "Ready: source $venv/bin/activate"
