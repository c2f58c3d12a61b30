#!/bin/bash
# Brings the compose cluster up, stores a tree in it, breaks one thing after the other, adds a pair, and
# says after each what happened, how long the client had to wait, and whether every byte is right.
#   demo.sh [--nothing-shared]     each node has its own half of the elements, and no disk is shared
# Exit code: 0 when all of it went well. DEMO_KEEP=1 leaves the cluster running; DEMO_SKIP_BUILD=1 takes the
# images as they are.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
project=${COMPOSE_PROJECT_NAME:-pairfs-demo}
files=(-f docker-compose.yml)
case ${1:-} in
  "") ;;
  --nothing-shared) files+=(-f docker-compose.nothing-shared.yml) ;;
  *) echo "usage: demo.sh [--nothing-shared]" >&2; exit 2 ;;
esac
if docker compose version >/dev/null 2>&1; then compose=(docker compose -p "$project" "${files[@]}")
else compose=(docker-compose -p "$project" "${files[@]}"); fi
mount=/mnt/pairfs
problems=0

say() { printf '\n== %s\n' "$*"; }
tell() { printf '   %s\n' "$*"; }
fail() {
  printf '\ndemo: FAILED: %s\n' "$*"
  exit 1
}
# What docker tells of its work is only of interest when it fails.
quietly() {
  local told
  told=$("$@" 2>&1) || { echo "$told"; return 1; }
}
container() { "${compose[@]}" ps -q "$1" | head -n 1; }
in_client() { docker exec "$client" "$@"; }

cleanup() {
  [ -z "${DEMO_KEEP:-}" ] || return
  "${compose[@]}" --profile third-pair down -v -t 5 >/dev/null 2>&1
}
trap cleanup EXIT

# The base image, from Debian's own archive where no registry can be reached.
need_base_image() {
  docker image inspect debian:bookworm-slim >/dev/null 2>&1 && return
  docker pull -q debian:bookworm-slim >/dev/null 2>&1 && return
  command -v debootstrap >/dev/null || fail "debian:bookworm-slim cannot be pulled; install debootstrap"
  tell "debian:bookworm-slim cannot be pulled: making it with debootstrap"
  local tree
  tree=$(mktemp -d) || exit 1
  debootstrap --variant=minbase bookworm "$tree" >/dev/null || fail "debootstrap could not make a base"
  tar -C "$tree" --exclude=./var/cache/apt --exclude=./var/lib/apt/lists -c . |
    docker import - debian:bookworm-slim >/dev/null || fail "docker import"
  rm -rf --one-file-system "$tree"
}

wait_for() { # SECONDS WHAT COMMAND...
  local limit=$1 what=$2
  shift 2
  for _ in $(seq "$limit"); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 1
  done
  fail "not within $limit s: $what"
}
pairfs_says() { in_client pairfs "$@" --router router-1:7400,router-2:7400; }
takeover_possible() { pairfs_says status | grep "takeover possible: yes" >/dev/null; }

# A directory on each volume, so that whatever fails, somebody waits for it.
make_probed() {
  probed=$(in_client bash -c '
    for number in {1..64}; do
      directory='"$mount"'/probe-$number
      mkdir "$directory"
      volume=$(pairfs placement "$directory" --json | sed -n "s/.*\"volume\": *\"\([^\"]*\)\".*/\1/p")
      [ -z "${seen[${volume/./}]:-}" ] || continue
      seen[${volume/./}]=yes
      echo "$directory"
      [ ${#seen[@]} -lt 4 ] || break
    done' | tr '\n' ' ')
}
start_probe() {
  in_client rm -f /tmp/probe /tmp/probe.stop
  # shellcheck disable=SC2086
  docker exec -d "$client" probe.sh /tmp/probe $probed
  sleep 1
}
end_probe() { # what happened
  local longest failed
  in_client touch /tmp/probe.stop
  wait_for 60 "the client's writes go on" in_client sh -c '[ ! -e /tmp/probe.stop ]'
  read -r longest failed < <(in_client cat /tmp/probe)
  tell "$1"
  tell "the client waited for $longest ms at most; $failed of its writes failed"
  [ "$failed" = 0 ] || problems=$((problems + 1))
  if in_client sh -c "cd $mount/tree && sha256sum --quiet -c /tmp/sums"; then
    tell "every byte of the tree is right"
  else
    tell "the tree is NOT what was stored"
    problems=$((problems + 1))
  fi
}

say "starting two pairs, two routers, three ZooKeeper servers and a client"
if [ -z "${DEMO_SKIP_BUILD:-}" ]; then
  need_base_image
  tell "building two images; the first time this compiles pairfs, which takes some minutes"
  quietly "${compose[@]}" build zk1 client || fail "the images could not be built"
fi
quietly "${compose[@]}" up -d || fail "the containers could not be started"
client=$(container client)
wait_for 180 "the client has mounted" in_client mountpoint -q "$mount"
wait_for 120 "every pair is whole" takeover_possible
tell "all is up, with room for $(in_client sh -c "df -h --output=avail $mount | tail -n 1 | tr -d ' '")"

say "storing a real tree"
in_client sh -c "cp -a /usr/share $mount/tree && cd /usr/share && find . -type f -exec sha256sum {} + > /tmp/sums" ||
  fail "the tree could not be stored"
make_probed
tell "$(in_client sh -c 'wc -l < /tmp/sums') files, $(in_client du -sh "$mount/tree" | cut -f1)"

say "killing the container of node 1a"
start_probe
victim=$(container node-1a)
docker kill "$victim" >/dev/null
sleep 5
end_probe "node 1b took over what 1a executed"
docker start "$victim" >/dev/null
wait_for 120 "1a is back and paired" takeover_possible

say "pausing the container of node 2b for 10 s"
start_probe
docker pause "$(container node-2b)" >/dev/null
sleep 10
docker unpause "$(container node-2b)" >/dev/null
end_probe "node 2a went on alone; 2b woke up and caught up"
wait_for 120 "2b is paired again" takeover_possible

say "cutting node 1b off its network for 10 s"
start_probe
docker network disconnect "${project}_cluster" "$(container node-1b)"
sleep 10
docker network connect --alias node-1b "${project}_cluster" "$(container node-1b)"
end_probe "node 1a went on alone"
wait_for 120 "1b is paired again" takeover_possible

say "killing the container of router 1"
start_probe
victim=$(container router-1)
docker kill "$victim" >/dev/null
sleep 3
end_probe "the client went on through router 2"
docker start "$victim" >/dev/null

say "killing one of the three ZooKeeper servers"
start_probe
victim=$(container zk1)
docker kill "$victim" >/dev/null
sleep 3
end_probe "the other two hold the map"
docker start "$victim" >/dev/null
wait_for 120 "everything is whole again" takeover_possible

say "adding a pair"
start_probe
quietly "${compose[@]}" run --rm -T grow || fail "the pair could not be registered"
quietly "${compose[@]}" up -d --no-deps node-3a node-3b || fail "its nodes could not be started"
wait_for 120 "the new pair is whole" takeover_possible
pairfs_says rebalance start --wait --timeout 180 >/dev/null || fail "it did not get its share"
end_probe "pair 3 was added and got its share of the data, while the client went on"
wait_for 120 "everything is whole" takeover_possible
pairfs_says status | grep -E '^(pair|  node|  volume)' | sed 's/^/   /'

echo
if [ "$problems" -gt 0 ]; then
  echo "demo: FAILED: $problems of the steps above did not go as they should"
  exit 1
fi
echo "demo: everything went as it should: nothing was lost and no program saw an error"
