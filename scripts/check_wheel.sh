#!/usr/bin/env bash
# Builds the wheel, installs it outside the checkout, and uses it there as a user would. Then looks
# whether everything that the extras bring comes as a wheel, on each platform and Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
bin=$PWD/.venvs/test/bin
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH VIRTUAL_ENV
export UV_PYTHON_DOWNLOADS=never

$bin/python -m flit_core.wheel --outdir "$work" . >/dev/null
wheel=$(echo "$work"/kern_agents-*.whl)
# The versions of the lock, so that the day on which this runs makes no difference.
sed -n 's/^\([a-z].*\) \\$/\1/p' requirements.lock >"$work/versions.txt"
cd "$work"

$bin/uv venv --quiet --seed --python "$bin/python" venv
$bin/uv pip install --quiet --python venv/bin/python --only-binary :all: -c versions.txt \
  "kern-agents[postgres,openai] @ file://$wheel"
venv/bin/python - <<'PYTHON'
import asyncio
from importlib.resources import files

from kern.agent import Agent
from kern.db.in_memory import InMemoryDb
from kern.db.postgres import PostgresDb  # noqa: F401 # only that it can be imported
from kern.models.openai import OpenAIResponses
from kern.run.base import RunStatus
from kern.testing import ResponsesServer
from kern.testing import Reply

assert files("kern").joinpath("py.typed").is_file(), "the wheel has no py.typed"


async def main() -> None:
    async with ResponsesServer([Reply.text("Paris.")]) as server:
        model = OpenAIResponses("any", base_url=server.base_url, api_key="none")
        agent = Agent("Wheel", model, db=InMemoryDb())
        run = await agent.arun("What is the capital of France?", background=True)
        run = await agent.await_run(run.run_id, timeout=30)
        assert (run.status, run.content) == (RunStatus.completed, "Paris."), run


asyncio.run(main())
PYTHON
venv/bin/kern --help >/dev/null
venv/bin/pip show --quiet kern-agents
case $(venv/bin/python -c 'import kern; print(kern.__file__)') in
  "$work"/venv/*) ;;
  *) echo "check_wheel: this was not the wheel's kern" >&2 && exit 1 ;;
esac

for platform in x86_64-manylinux_2_28 aarch64-manylinux_2_28 aarch64-apple-darwin; do
  for python in 3.11 3.12 3.13 3.14; do
    echo "kern-agents[all] @ file://$wheel" |
      $bin/uv pip compile --quiet --python "$bin/python" - -c versions.txt --only-binary :all: \
        --python-platform $platform --python-version $python >/dev/null ||
      { echo "check_wheel: the extras cannot be installed from wheels on $platform, Python $python" >&2 && exit 1; }
  done
done
echo "$(basename "$wheel") works outside the checkout, and no extra compiles"
