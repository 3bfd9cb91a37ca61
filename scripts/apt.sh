#!/usr/bin/env bash
# Installs from Debian what the tests use and the machine lacks: PgBouncer, a PostgreSQL server of
# Debian's own version, Chromium with a font, and what Python needs for virtual environments. No
# service of theirs is started. Needs apt and root; elsewhere the tests that need one of them skip,
# and say so.
set -euo pipefail

missing=()
[ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || missing+=(pgbouncer)
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || missing+=(postgresql)
command -v chromium >/dev/null || missing+=(chromium fonts-liberation)
command -v uv >/dev/null || python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "apt: without apt and root, ${missing[*]} cannot be installed here; tests that need it skip"
  exit 0
fi

# Debian starts what it installs unless this file says no.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing ${missing[*]} ..."
log=$(mktemp)
if ! { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
  >"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "apt: ${missing[*]} could not be installed (see above); tests that need it skip" >&2
fi
rm -f "$log"
