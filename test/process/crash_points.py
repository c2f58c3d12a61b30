#!/usr/bin/env python3
"""A node dies in the middle of what it does about another one's death: at its n-th change of a file in
a takeover, a giveback or a rejoin. Whatever n, everything acknowledged is there, once, and the pair
becomes whole again. A few n by default, each up to the first consistency point with --all."""
# time-limit: 1500
# only-with: --all
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, alive, expect, need_fuse, pairfs, wait_until
from faults import Shim
from work import Load

need_fuse()
ALL = os.environ.get("PAIRFS_TEST_ALL")
POINTS = range(1, 61) if ALL else (1, 4, 9, 15)


def at_home(cluster):
    def look():
        code, status = cluster.status()
        volumes = [v for p in status["pairs"] for v in p["volumes"]]
        for volume in volumes:
            if code == 0 and volume["executor"] != volume["home"]:
                pairfs("giveback", volume["home"], "--dir", cluster.dir)
        return code == 0 and all(v["executor"] == v["home"] for v in volumes)
    wait_until(look, "every volume is at home", timeout=90)


def takeover(cluster, shim, point):
    shim.crash_at("1b", point)
    cluster.kill("1a")
    return "1b"


def rejoin(cluster, shim, point):
    shim.crash_at("1a", point)
    cluster.kill("1a")
    return "1a"


def giveback(cluster, shim, point):
    result = pairfs("takeover", "1a", "--dir", cluster.dir)
    expect(result.returncode == 0, f"takeover: {result.stdout}{result.stderr}")
    wait_until(cluster.healthy, "1a is a logger", timeout=60)
    shim.crash_at("1a", point)
    result = pairfs("giveback", "1a", "--timeout", 60, "--dir", cluster.dir)
    return "1a"


with Cluster() as cluster:
    shim = Shim(cluster.top)
    cluster.up(environment=shim.environment())
    crashes = 0
    with Load(cluster.mount, count=2, pause_s=0.02) as load:
        for scenario in (takeover, rejoin, giveback):
            for point in POINTS:
                at_home(cluster)
                pids = {name: cluster.pid(name) for name in ("1a", "1b")}
                name = scenario(cluster, shim, point)
                load.progress(5)
                wait_until(cluster.healthy, f"{scenario.__name__} {point}: whole again", timeout=90)
                load.progress(2)
                crashed = not shim.crash_waits(name)
                shim.forget_crash(name)
                crashes += crashed
                if not crashed:
                    print(f"{scenario.__name__} has no call {point}")
                    break
        at_home(cluster)
    print(f"{crashes} crashes, longest pause {load.longest_ms():.0f} ms")
    expect(crashes >= 3, "the crash points were reached")
    cluster.down()
