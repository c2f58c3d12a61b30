#!/usr/bin/env python3
"""The partner's copy through memory and through messages: which one a cluster has is what was asked
for, and with either, killing a node, or all, loses nothing that was acknowledged."""
# time-limit: 300
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, wait_until

need_fuse()


def executors(cluster):
    """Volume to (pid of its executor, pid of its logger)."""
    _, status = cluster.status()
    pids = {n["name"]: n["pid"] for p in status["pairs"] for n in p["nodes"]}
    return {v["id"]: (pids[v["executor"]], pids[v["logger"]], v["log"].get("copied_in_memory"))
            for p in status["pairs"] for v in p["volumes"]}


def write(cluster, name, count=300):
    directory = cluster.mount / name
    directory.mkdir()
    for i in range(count):
        (directory / f"f{i}").write_text(f"{name} {i}")


def check(cluster, name, count=300):
    for i in range(count):
        expect((cluster.mount / name / f"f{i}").read_text() == f"{name} {i}", f"{name}/f{i} is whole")


for kind in ("shm", "zmq"):
    with Cluster() as cluster:
        cluster.up("--link", kind)
        # A volume's first records go as messages, until the ring is found.
        write(cluster, "first")
        copied = [c for _, _, c in executors(cluster).values()]
        expect(any(copied) == (kind == "shm"), f"{kind}: {copied}")

        # The logger stands still, so that what it holds lies in the ring only; then both nodes die.
        write(cluster, "second")
        busiest = max(executors(cluster).values(), key=lambda volume: volume[2])
        os.kill(busiest[1], signal.SIGSTOP)
        (cluster.mount / "first" / "more").write_text("more")
        cluster.kill_everything()
        cluster.up()
        check(cluster, "first")
        check(cluster, "second")
        expect((cluster.mount / "first" / "more").read_text() == "more", "the last one is there")

        # An executor dies; its partner has all of it.
        wait_until(cluster.healthy, "the pair is whole", timeout=60)
        write(cluster, "third")
        cluster.kill("1a")
        check(cluster, "third")
        wait_until(cluster.healthy, "the pair is whole", timeout=60)
        check(cluster, "second")
        cluster.down()
