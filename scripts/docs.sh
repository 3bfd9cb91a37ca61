#!/usr/bin/env bash
# Makes the site of the documentation in build/docs, which needs no network and asks no other host.
# Usage: scripts/docs.sh [option of sphinx-build ...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-.venvs/test/bin/python}
$python -m sphinx --builder html --fail-on-warning --quiet --jobs auto "$@" docs build/docs
$python scripts/check_docs.py build/docs
echo "Written: build/docs/index.html"
