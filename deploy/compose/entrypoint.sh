#!/bin/bash
# What a container of the demo runs: entrypoint.sh setup | grow | node NAME | router NAME | client | COMMAND...
# REACH: how the nodes of a pair reach the elements, as for pairfs init.
set -euo pipefail
map=zookeeper://zk1:2181,zk2:2181,zk3:2181/pairfs
routers=router-1:7400,router-2:7400
reach=${REACH:-dir}

# The settings that `setup` has written, once.
settings_of() {
  local file
  until file=$(find /config -mindepth 3 -name "$1.toml" 2>/dev/null | grep . | head -n 1) &&
    [ -e /config/ready ]; do
    sleep 0.2
  done
  echo "$file"
}

case ${1:-client} in
  setup)
    # Made beside and renamed, so that an interrupted one starts anew.
    if [ ! -e /config/ready ]; then
      rm -rf /config/cluster
      pairfs init --pair node-1a,node-1b --pair node-2a,node-2b --router router-1 --router router-2 \
        --map "$map" --reach "$reach" --out /config/cluster
      for attempt in $(seq 60); do
        if pairfs map copy /config/cluster/map "$map"; then break; fi
        [ "$attempt" -lt 60 ] || exit 1
        sleep 1
      done
      touch /config/ready
    fi
    ;;
  grow)
    # A pair more, for the cluster that runs: registered, and its settings written.
    [ -e /config/third-pair ] ||
      pairfs pair add --router "$routers" --pair node-3a,node-3b --reach "$reach" --out /config/third-pair
    ;;
  node)
    file=$(settings_of "$2")
    mkdir -p "/var/lib/pairfs/$2"
    # A node makes the elements' directories on its volume; those that only its partner reaches stay empty.
    for volume in "${2%[ab]}.0" "${2%[ab]}.1"; do
      mkdir -p -m 0700 "/srv/pairfs/$volume-e0" "/srv/pairfs/$volume-e1"
    done
    exec pairfs-node --config "$file"
    ;;
  router)
    exec pairfs-router --config "$(settings_of "$2")"
    ;;
  client)
    mkdir -p /mnt/pairfs
    exec pairfs-mount "$routers" /mnt/pairfs -f -o wait
    ;;
  *) exec "$@" ;;
esac
