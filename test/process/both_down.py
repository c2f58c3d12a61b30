#!/usr/bin/env python3
"""Both nodes of a pair die; either starts first. Then one comes back with an empty disk, one with a
torn log, and one whose log is damaged in its middle."""
# time-limit: 600
# only-with: --all
import atexit
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, Cluster, need_fuse, wait_until
from work import Load

need_fuse()


def start_alone(cluster, name):
    """Starts one node by hand, as its supervisor would; gives its process."""
    log = open(cluster.dir / name / "log", "a")
    node = subprocess.Popen([BUILD / "node" / "pairfs-node", "--config",
                             cluster.dir / name / "node.toml"], stdin=subprocess.DEVNULL,
                            stdout=log, stderr=log)
    atexit.register(node.kill)
    return node


def log_segments(cluster, name):
    return sorted((cluster.dir / name / "state").glob("log-*/segment.*"))


def written_bytes(segment):
    """How far a preallocated segment is written."""
    return len(segment.read_bytes().rstrip(b"\0"))


with Cluster() as cluster:
    cluster.up("--no-restart")
    with Load(cluster.mount, pause_s=0.005) as load:
        for first, second in (("1a", "1b"), ("1b", "1a")):
            cluster.kill(first)
            load.progress(10)  # the other one is solo now
            cluster.kill(second)
            alone = start_alone(cluster, second)  # it has everything
            load.progress(10)
            other = start_alone(cluster, first)
            wait_until(lambda: cluster.status()[1]["takeover_possible"], "both are in step",
                       timeout=60)
            for node in (alone, other):  # now both at once; either may begin
                node.kill()
                node.wait()
            cluster.up("--no-restart")
            load.progress(10)
            wait_until(cluster.healthy, "whole again", timeout=60)

        # An empty disk: the log and the copy of the map are gone.
        cluster.kill("1a")
        load.progress(5)
        shutil.rmtree(cluster.dir / "1a" / "state")
        cluster.up("--no-restart")
        load.progress(5)
        wait_until(cluster.healthy, "the empty node caught up", timeout=60)

        # A torn tail, then damage in the middle: the first is cut, the second fetched anew.
        for damage in ("tail", "middle"):
            load.progress(20)
            cluster.kill("1b")
            for segment in log_segments(cluster, "1b"):
                end = written_bytes(segment)
                if end < 8192:
                    continue
                with open(segment, "r+b") as file:
                    file.seek(end - 20 if damage == "tail" else 4096 + (end - 4096) // 2)
                    file.write(b"\xa5" * 16)
            cluster.up("--no-restart")
            load.progress(5)
            wait_until(cluster.healthy, f"a log with a bad {damage} caught up", timeout=60)
    cluster.kill("1a")  # what 1b has must be good enough to serve from
    wait_until(lambda: all(v["executor"] == "1b" for v in cluster.volumes().values()), "1b serves")
    for worker in load.workers:
        worker.check()
    print(f"longest pause: {load.longest_ms():.0f} ms")
    cluster.up("--no-restart")
    cluster.down()
