#!/usr/bin/env bash
# Runs the tests in .venvs/test. Arguments go to pytest: scripts/test.sh tests/cli -x
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test
# The tests start hundreds of processes: each would compile kern anew.
unset PYTHONDONTWRITEBYTECODE
.venvs/test/bin/python -m compileall -q -j 0 src
# As many processes as tests/conftest.py says; each has servers of its own.
exec .venvs/test/bin/python -m pytest -n auto --dist worksteal "$@"
