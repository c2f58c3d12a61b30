#!/usr/bin/env python3
"""A new cluster in a deep path with spaces: it is healthy, its files survive down and up, its
directories are private, it is small."""
# time-limit: 300
import os
import stat
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, mounted, need_fuse, pairfs, plant, tree_of

need_fuse()
DEEP = "/".join(["a rather long directory name with spaces"] * 4)

with Cluster(below=DEEP, pairs=2) as cluster:
    result = cluster.up()
    expect(str(cluster.mount) in result.stdout, "up says where it is mounted")
    expect("made a cluster of 2 pairs" in result.stdout, "up says what it makes")
    code, status = cluster.status()
    expect(code == 0, f"status is fine: {status}")
    expect(status["takeover_possible"] is True, "each node could be lost")
    expect([r["name"] for r in status["routers"]] == ["r1", "r2"], "two routers")
    expect([n["name"] for p in status["pairs"] for n in p["nodes"]] == ["1a", "1b", "2a", "2b"],
           "four nodes")
    volumes = [v for p in status["pairs"] for v in p["volumes"]]
    expect([v["id"] for v in volumes] == ["1.0", "1.1", "2.0", "2.1"], "four volumes")
    expect(all(v["executor"] == v["home"] and v["mode"] == "paired" for v in volumes),
           "each volume is executed at home")
    expect(sum(v["slices"] for v in volumes) == 4096, "every slice has a volume")
    for volume in volumes:
        expect(volume["raid"]["state"] == "optimal", "the RAID group is whole")
        for element in volume["raid"]["elements"]:
            expect(os.path.isabs(element["path"]) and element["state"] == "ok", str(element))
            expect(element["capacity_bytes"] > 0, "an element has a capacity")
    expect(status["sessions"] and status["sessions"][0]["state"], "the mount has a session")

    for path in [cluster.dir, *cluster.dir.glob("*"), *cluster.dir.glob("*/state")]:
        if path.is_dir():
            expect(stat.S_IMODE(path.stat().st_mode) == 0o700, f"{path} is private")
    for daemon in [*status["routers"], *[n for p in status["pairs"] for n in p["nodes"]]]:
        expect(len(daemon["endpoint"]) - len("ipc://") < 107, "sockets have short paths")
    disk = subprocess.run(["du", "-sk", str(cluster.dir)], capture_output=True, text=True)
    expect(int(disk.stdout.split()[0]) < 1 << 20, f"under 1 GiB: {disk.stdout}")

    plant(cluster.mount)
    before = tree_of(cluster.mount)
    expect(pairfs("sync", cluster.mount).returncode == 0, "sync waits for the disks")
    text = pairfs("status", "--dir", cluster.dir)
    expect(text.returncode == 0 and "takeover possible: yes" in text.stdout, text.stdout)
    by_router = pairfs("status", "--router", status["routers"][1]["endpoint"])
    expect(by_router.returncode == 0, "status through one router")
    by_environment = pairfs("status", environment={"PAIRFS_DIR": str(cluster.dir)})
    expect(by_environment.returncode == 0, "status through PAIRFS_DIR")

    names = cluster.names()
    cluster.down()
    expect(not mounted(cluster.mount), "down unmounts")
    expect(all(cluster.pid(name) is None for name in [*names, "supervisor"]), "down stops all")
    code, status = cluster.status()
    expect(code == 1 and status["pairs"][0]["nodes"][0]["state"] == "down", "a stopped cluster is down")
    cluster.down()  # a second one has nothing to do, and says so

    cluster.up()
    expect(tree_of(cluster.mount) == before, "the files are as they were")
    expect(cluster.up().returncode == 0, "up on a running cluster is fine")
    cluster.down()
