#!/usr/bin/env python3
"""kill -9 of one node under load: its partner takes over, no application sees an error, every
operation that is not idempotent happened once; then the killed one comes back."""
# time-limit: 300
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, need_fuse, wait_until
from work import Load

need_fuse()

with Cluster() as cluster:
    cluster.up()
    with Load(cluster.mount, count=4) as load:
        for node in ("1a", "1b"):
            cluster.kill(node)
            load.progress(20)
            wait_until(cluster.healthy, f"{node} is back and in step", timeout=60)
    print("longest pause of a create, rename, link, unlink and append: "
          f"{load.longest_ms():.0f} ms")
    cluster.down()
