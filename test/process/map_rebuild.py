#!/usr/bin/env python3
"""A lost map store is rebuilt from the nodes' copies; one that was put back from an old backup is
refused."""
# time-limit: 200
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import (PAIRFS, Cluster, expect, need_fuse, pairfs, plant, tree_of,
                     wait_until)

need_fuse()

with Cluster() as cluster:
    cluster.up()
    plant(cluster.mount)
    before = tree_of(cluster.mount)
    store = cluster.dir / "r1" / "map"
    old = cluster.top / "old map"
    shutil.copytree(store, old)
    cluster.kill("1a")  # so that roles change
    wait_until(cluster.healthy, "1a is back", timeout=60)
    refusal = pairfs("map", "rebuild", "--dir", cluster.dir)
    expect(refusal.returncode == 2 and "pairfs down" in refusal.stderr,
           f"a running cluster's map is left alone: {refusal.stderr}")
    cluster.down()

    # An old one: the nodes know better.
    shutil.rmtree(store)
    shutil.copytree(old, store)
    late = subprocess.Popen([PAIRFS, "up", "--dir", cluster.dir, "--mount", cluster.mount],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    wait_until(lambda: "map.older" in (cluster.dir / "1a" / "log").read_text(),
               "the node says that the map is an old one")
    late.terminate()
    late.wait()
    cluster.down("--force")

    # None at all.
    shutil.rmtree(store)
    rebuilt = pairfs("map", "rebuild", "--dir", cluster.dir)
    expect(rebuilt.returncode == 0, f"rebuild: {rebuilt.stdout}{rebuilt.stderr}")
    cluster.up()
    expect(tree_of(cluster.mount) == before, "everything is there")
    wait_until(cluster.healthy, "whole again", timeout=60)
    cluster.down()

    # Damaged: kept beside.
    (store / "map").write_bytes(b"damage")
    expect(pairfs("map", "rebuild", "--dir", cluster.dir).returncode == 0, "rebuild of a damaged one")
    expect((cluster.dir / "r1" / "map.damaged").read_bytes() == b"damage", "which is kept")
    cluster.up()
    expect(tree_of(cluster.mount) == before, "everything is there")
    cluster.down()
