#!/usr/bin/env python3
"""Real programs on a mount of two pairs: tar, git, SQLite, rsync, fio, a build."""
# time-limit: 3600
# only-with: --all
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs

need_fuse()
HERE = os.path.dirname(os.path.abspath(__file__))

with Cluster(pairs=2) as cluster:
    cluster.up()
    second = cluster.top / "second"
    second.mkdir()
    cluster.others.append(second)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    expect(pairfs("mount", routers, second).returncode == 0, "a second mount")
    ran = subprocess.run([os.path.join(HERE, "real_programs", "all.sh"), cluster.mount,
                          "--second", second])
    expect(ran.returncode == 0, "every program is content")
    expect(cluster.healthy(), "and the cluster too")
