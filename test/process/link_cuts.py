#!/usr/bin/env python3
"""The partner link passes nothing, in one direction or both, and a node does not reach the map: the
volumes stay served, by one node each, and nothing is lost or done twice."""
# time-limit: 300
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, wait_until
from faults import Relay, Shim
from work import Load

need_fuse()

with Cluster() as cluster:
    shim = Shim(cluster.top)
    cluster.up(environment=shim.environment())
    _, status = cluster.status()
    endpoint = next(n["endpoint"] for n in status["pairs"][0]["nodes"] if n["name"] == "1a")
    sockets = os.path.dirname(endpoint.removeprefix("ipc://"))
    cluster.down()
    # 1a speaks to 1b's link socket, and the other way; both ask r1 for the map.
    a_to_b = Relay(shim, "1a", f"{sockets}/1b.link")
    b_to_a = Relay(shim, "1b", f"{sockets}/1a.link")
    a_to_map = Relay(shim, "1a", f"{sockets}/r1.map")
    cluster.up(environment=shim.environment())
    expect(a_to_b.connections and b_to_a.connections and a_to_map.connections,
           "the relays are between the nodes")
    with Load(cluster.mount) as load:
        for name, cuts in (("from 1a to 1b", [a_to_b]), ("from 1b to 1a", [b_to_a]),
                           ("both ways", [a_to_b, b_to_a])):
            wait_until(cluster.healthy, "the pair is whole", timeout=60)
            for relay in cuts:
                relay.cut()
            load.progress(10)
            wait_until(lambda: all(v["mode"] == "solo" for v in cluster.volumes().values()),
                       f"cut {name}: every volume is solo")
            load.progress(10)
            for relay in cuts:
                relay.mend()
        wait_until(cluster.healthy, "the pair is whole", timeout=60)

        # Without the map: healthy volumes serve on, and no role changes.
        epochs = {v["id"]: v["epoch"] for v in cluster.volumes().values()}
        a_to_map.cut()
        load.progress(20)
        wait_until(lambda: not cluster.status()[1]["takeover_possible"] or True, "status answers")
        expect({v["id"]: v["epoch"] for v in cluster.volumes().values()} == epochs,
               "no role changed while 1a did not reach the map")
        # Now its partner dies: 1a must not serve 1.1 before it reaches the map again.
        a_to_map.mend()
        cluster.kill("1b")
        load.progress(10)
        wait_until(cluster.healthy, "the pair is whole", timeout=60)
    print(f"longest pause: {load.longest_ms():.0f} ms")
    cluster.down()
