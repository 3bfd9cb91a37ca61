#!/usr/bin/env bash
# PostgreSQL with pgvector on port 5532; user, password and database are «ai».
# In Docker where it answers, else the PostgreSQL that comes with kern.
# Usage: cookbook/scripts/run_pgvector.sh [stop]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

container=kern-pgvector
bin=.venvs/demo/bin

# Bounded in time: without its daemon, docker can wait without end.
docker_answers() {
  command -v docker >/dev/null || return 1
  docker info >/dev/null 2>&1 &
  local info=$! tries=50
  while kill -0 "$info" 2>/dev/null; do
    tries=$((tries - 1))
    if [ "$tries" = 0 ]; then
      kill -9 "$info"
      return 1
    fi
    sleep 0.1
  done
  wait "$info"
}

start_in_docker() {
  if [ -n "$(docker ps --all --quiet --filter "name=^$container\$")" ]; then
    docker start "$container" >/dev/null
  else
    docker run --detach --name "$container" --publish 127.0.0.1:5532:5432 \
      --env POSTGRES_USER=ai --env POSTGRES_PASSWORD=ai --env POSTGRES_DB=ai \
      --volume "$container:/var/lib/postgresql" pgvector/pgvector:pg18 >/dev/null
  fi
  local deadline=$((SECONDS + 60))
  until docker exec "$container" pg_isready --quiet --host 127.0.0.1 --username ai; do
    if [ $SECONDS -ge $deadline ]; then
      echo "PostgreSQL does not answer after 60 s; see: docker logs $container" >&2
      exit 1
    fi
    sleep 0.2
  done
  echo "PostgreSQL runs at postgresql://ai:ai@127.0.0.1:5532/ai (Docker container $container)"
}

case "${1:-start}" in
  start)
    if docker_answers; then
      start_in_docker
    else
      scripts/setup.sh demo
      $bin/kern db up
    fi
    ;;
  stop)
    if docker_answers && [ -n "$(docker ps --quiet --filter "name=^$container\$")" ]; then
      docker stop "$container" >/dev/null
      echo "PostgreSQL is stopped (Docker container $container)"
    elif [ -x $bin/kern ]; then
      $bin/kern db down
    fi
    ;;
  *)
    echo "usage: $0 [stop]" >&2
    exit 2
    ;;
esac
