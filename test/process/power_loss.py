#!/usr/bin/env python3
"""Both nodes lose power: logs and elements lie on a filesystem that forgets what was not synced.
Everything that was fsynced is there; what else is there is a prefix of what each application did."""
# time-limit: 900
# only-with: --all
import os
import random
import signal
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, need_fuse, pairfs, skip, wait_until
from faults import Disk, Machine
from work import Worker

need_fuse()
if os.geteuid() != 0:
    skip("needs root, for a boot id of its own")
ROUNDS = 12 if os.environ.get("PAIRFS_TEST_ALL") else 2
SEED = int(os.environ.get("PAIRFS_TEST_SEED", random.randrange(1 << 30)))
print(f"PAIRFS_TEST_SEED={SEED}")
random = random.Random(SEED)

with Cluster() as cluster:
    machine = Machine(cluster.top)
    disk = Disk(cluster.top / "disk")
    cluster.dir = cluster.top / "disk" / "var"
    cluster.mount = cluster.top / "mnt"
    try:
        cluster.up()
        past = []  # (worker, rounds that were found after the first loss)
        for number in range(ROUNDS):
            disk.tell("sync")  # what the command line itself wrote is not what this is about
            stop = threading.Event()
            workers = [Worker(cluster.mount / f"r{number}w{i}", stop) for i in range(3)]
            for worker in workers:
                worker.start()
            target = random.randrange(10, 50)
            wait_until(lambda: all(w.error or w.done > target for w in workers), "some work is done",
                       timeout=90)
            cluster.kill_everything()
            synced = [w.synced for w in workers]
            stop.set()
            for worker in workers:
                worker.join(60)
            pairfs("umount", "--force", cluster.mount)
            disk.tell(f"lose {random.randrange(1 << 30)}")
            machine.restart()
            cluster.up()
            for worker, least in zip(workers, synced):
                worker.check_from(least, worker.done)
                past.append((worker, len((worker.directory / "log").read_text().splitlines())))
                print(f"round {number}: {worker.done} rounds done, {least} synced, {past[-1][1]} found")
            for worker, found in past:
                worker.check_from(found, found + 1)
        wait_until(cluster.healthy, "the pair is whole", timeout=60)
        cluster.down()
    finally:
        for name in ["supervisor", *cluster.names()]:  # their pid files go with the disk
            pid = cluster.pid(name)
            if pid:
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["umount", "-l", cluster.mount], stderr=subprocess.DEVNULL)
        disk.close()
