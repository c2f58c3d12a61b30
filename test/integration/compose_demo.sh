#!/bin/bash
# The compose demo, wherever a Docker engine runs: builds its images, which takes a while.
# With "-- --nothing-shared" no two nodes have a disk in common.
# time-limit: 5400
# only-with: --all
cd "$(dirname "${BASH_SOURCE[0]}")/../../deploy/compose" || exit 1
docker version >/dev/null 2>&1 || { echo "skipped: no Docker engine runs here"; exit 77; }
docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null ||
  { echo "skipped: docker-compose is not here"; exit 77; }
[ -e /dev/fuse ] || { echo "skipped: there is no /dev/fuse"; exit 77; }
exec ./demo.sh "$@"
