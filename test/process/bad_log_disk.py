#!/usr/bin/env python3
"""A node's log disk fails to sync: the node ends, its partner goes on alone, applications see no error,
and the node catches up when its disk is well again. (A full one: full_disk.py.)"""
# time-limit: 200
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, need_fuse, wait_until
from faults import Disk
from work import Load

need_fuse()

with Cluster() as cluster:
    cluster.up()
    cluster.down()
    disk = Disk(cluster.top / "log disk")
    try:
        # 1a's logs move to a disk of their own.
        state = cluster.dir / "1a" / "state"
        shutil.copytree(state, disk.path / "state")
        shutil.rmtree(state)
        state.symlink_to(disk.path / "state")
        (disk.path / "state").chmod(0o700)
        cluster.up()
        with Load(cluster.mount, pause_s=0.005) as load:
            for fault, cure in (("fail_syncs 1", "fail_syncs 0"),):
                wait_until(cluster.healthy, "the pair is whole", timeout=60)
                before = cluster.pid("1a")
                disk.tell(fault)
                blob = cluster.mount / "blob"
                for _ in range(24):  # more than a log segment, so that a new one is needed
                    blob.write_bytes(os.urandom(1 << 20))
                wait_until(lambda: cluster.pid("1a") != before, "1a ends by itself", timeout=60)
                load.progress(10)
                disk.tell(cure)
        wait_until(cluster.healthy, "the pair is whole again", timeout=90)
        print(f"longest pause: {load.longest_ms():.0f} ms")
        cluster.down()
    finally:
        if cluster.pid("supervisor"):
            cluster.down("--force")
        disk.close()
