#!/usr/bin/env python3
"""What dies comes back: daemons through the supervisor, a dead mount and a dead supervisor through
a second up."""
# time-limit: 300
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, is_dead, need_fuse, wait_until

need_fuse()

with Cluster() as cluster:
    cluster.up()
    (cluster.mount / "kept").write_text("content")

    for name in ("r2", "r1", "1b"):
        killed = cluster.kill(name)
        wait_until(lambda: cluster.pid(name) not in (None, killed), f"{name} runs again")
    wait_until(cluster.healthy, "the cluster is healthy again", timeout=60)
    expect((cluster.mount / "kept").read_text() == "content", "the file is there")

    killed = cluster.kill("mount")
    wait_until(lambda: cluster.pid("mount") not in (None, killed), "the mount runs again")
    wait_until(lambda: not is_dead(cluster.mount) and (cluster.mount / "kept").exists(),
               "the mount serves again")

    # Without its supervisor the cluster serves on; what dies now waits for the next up.
    cluster.kill("supervisor")
    cluster.kill("mount")
    cluster.kill("1a")
    expect(is_dead(cluster.mount), "nobody replaces the mount now")
    cluster.up()
    expect((cluster.mount / "kept").read_text() == "content", "up replaces the dead mount")
    expect(cluster.pid("1a") is not None, "up starts the missing node")

    # --no-restart: the supervisor leaves what died alone, until the next up.
    cluster.down()
    cluster.up("--no-restart")
    killed = cluster.kill("r2")
    wait_until(lambda: "killed by signal 9" in (cluster.dir / "r2/last_exit").read_text()
               if (cluster.dir / "r2/last_exit").exists() else False, "the supervisor notes the end")
    expect(cluster.pid("r2") is None, "and does not start it")
    expect(cluster.status()[0] == 1, "status says that something is down")
    cluster.up("--no-restart")
    expect(cluster.pid("r2") not in (None, killed), "up starts it")
    # down works when half of it is dead, the supervisor included.
    cluster.kill("supervisor")
    cluster.kill("1b")
    cluster.kill("r1")
    cluster.down()
    expect(all(cluster.pid(name) is None for name in ("1a", "r2", "mount")), "all is stopped")
