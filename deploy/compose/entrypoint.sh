#!/bin/bash
# What a container of the demo runs: entrypoint.sh setup | node NAME | router NAME | client | COMMAND...
set -euo pipefail
map=zookeeper://zk1:2181,zk2:2181,zk3:2181/pairfs
routers=router-1:7400,router-2:7400

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
        --map "$map" --out /config/cluster
      for attempt in $(seq 60); do
        if pairfs map copy /config/cluster/map "$map"; then break; fi
        [ "$attempt" -lt 60 ] || exit 1
        sleep 1
      done
      touch /config/ready
    fi
    ;;
  node)
    file=$(settings_of "$2")
    mkdir -p "/var/lib/pairfs/$2"
    # The elements lie on a volume that both nodes of the pair see.
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
