#!/usr/bin/env bash
# Makes .venvs/demo, in which the cookbook's examples run.
set -euo pipefail
"$(dirname "${BASH_SOURCE[0]}")/setup.sh" demo
