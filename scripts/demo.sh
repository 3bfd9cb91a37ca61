#!/usr/bin/env bash
# Runs an example with all that it needs: PostgreSQL on port 5532 and, unless OPENAI_API_KEY is set,
# a small model on this machine. Starts what is missing, and stops what it started.
# Usage: scripts/demo.sh [SCRIPT]
set -euo pipefail

script=${1:-}
[ -z "$script" ] || script=$(cd "$(dirname "$script")" && pwd)/$(basename "$script")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
script=${script:-cookbook/02_agents/14_advanced/background_execution.py}
bin=.venvs/demo/bin
database=
model=
example=
log=

stop_process() {
  [ -z "$1" ] || { kill "$1" 2>/dev/null && wait "$1" 2>/dev/null; } || true
}

clean_up() {
  trap '' INT TERM
  stop_process "$example"
  stop_process "$model"
  [ -z "$log" ] || rm -f "$log"
  [ -z "$database" ] || $bin/kern db down
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

database_answers() {
  $bin/python - 2>/dev/null <<'PYTHON'
import asyncio, asyncpg
asyncio.run(asyncpg.connect("postgresql://ai:ai@localhost:5532/ai", timeout=5))
PYTHON
}

start_model() {
  log=$(mktemp)
  $bin/kern model serve --port 0 >"$log" 2>&1 &
  model=$!
  local deadline=$((SECONDS + 120))
  until grep -q '^Serving at' "$log"; do
    if ! kill -0 "$model" 2>/dev/null || [ $SECONDS -ge $deadline ]; then
      cat "$log" >&2
      echo "demo: the model did not start; set OPENAI_API_KEY to use OpenAI's instead" >&2
      exit 1
    fi
    sleep 0.1
  done
  OPENAI_BASE_URL=$(sed -n 's/^Serving at \([^ ]*\).*/\1/p' "$log")
  OPENAI_API_KEY=not-needed
  export OPENAI_BASE_URL OPENAI_API_KEY
  echo "SmolLM2-135M-Instruct answers at $OPENAI_BASE_URL"
}

scripts/setup.sh demo
if ! database_answers; then
  # One that runs on another port is not ours to stop.
  $bin/kern db status >/dev/null || database=started
  $bin/kern db up
fi
[ -n "${OPENAI_API_KEY:-}" ] || start_model

echo "Running $script"
$bin/python -u "$script" <&0 &
example=$!
code=0
wait "$example" || code=$?
example=
exit "$code"
