#!/usr/bin/env python3
"""kill -9 of every process at once loses nothing that was acknowledged."""
# time-limit: 300
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, plant, tree_of, wait_until

need_fuse()

with Cluster() as cluster:
    cluster.up()
    plant(cluster.mount)
    before = tree_of(cluster.mount)
    cluster.kill_everything()
    cluster.up()
    expect(tree_of(cluster.mount) == before, "all is there after the first time")

    # Again, in the middle of work: every create and append that returned has happened, once.
    acknowledged, stop = [], threading.Event()

    def work():
        directory = cluster.mount / "work"
        try:
            directory.mkdir()
            log = os.open(directory / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            for i in range(100_000):
                fd = os.open(directory / f"f{i}", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                os.write(fd, str(i).encode())
                os.close(fd)
                os.write(log, f"{i}\n".encode())
                acknowledged.append(i)
                if stop.is_set():
                    return
        except OSError:
            pass  # the mount died under it

    worker = threading.Thread(target=work)
    worker.start()
    wait_until(lambda: len(acknowledged) > 100, "some work is done")
    cluster.kill_everything()
    stop.set()
    worker.join(60)
    expect(not worker.is_alive(), "the application is not stuck in the dead mount")
    cluster.up()
    count = len(acknowledged)
    for i in acknowledged:
        expect((cluster.mount / "work" / f"f{i}").read_text() == str(i), f"f{i} is whole")
    lines = (cluster.mount / "work" / "log").read_text().splitlines()
    expect(lines[:count] == [str(i) for i in range(count)] and len(lines) <= count + 1,
           "every append happened once and in order")
    before.pop("work", None)
    now = {name: value for name, value in tree_of(cluster.mount).items()
           if name != "work" and not name.startswith("work/")}
    expect(now == before, "the older files are as they were")
    print(f"{count} files acknowledged before the kill")
    cluster.down()
