#!/usr/bin/env python3
"""kill -9 of one node under load: its partner takes over, no application sees an error, every
operation that is not idempotent happened once; then the killed one comes back."""
# time-limit: 300
import os
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, wait_until

need_fuse()
WORKERS = 4


class Worker(threading.Thread):
    """Creates with O_EXCL, appends, renames, links and unlinks; keeps the longest pause it saw."""

    def __init__(self, directory, stop):
        super().__init__()
        self.directory, self.stop = directory, stop
        self.error, self.done, self.longest_s = None, 0, 0.0

    def run(self):
        try:
            self.directory.mkdir()
            log = os.open(self.directory / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            while not self.stop.is_set():
                started = time.monotonic()
                name = self.directory / f"f{self.done}"
                fd = os.open(str(name) + ".new", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                os.write(fd, str(self.done).encode())
                os.close(fd)
                os.rename(str(name) + ".new", name)
                os.link(name, str(name) + ".twin")
                os.unlink(str(name) + ".twin")
                os.write(log, f"{self.done}\n".encode())
                self.done += 1
                self.longest_s = max(self.longest_s, time.monotonic() - started)
            os.close(log)
        except OSError as error:
            self.error = error

    def check(self):
        expect(self.error is None, f"{self.directory.name}: {self.error}")
        expect(sorted(os.listdir(self.directory))
               == sorted([f"f{i}" for i in range(self.done)] + ["log"]), "every file, no other")
        lines = (self.directory / "log").read_text().splitlines()
        expect(lines == [str(i) for i in range(self.done)], "every append once")


with Cluster() as cluster:
    cluster.up()
    stop = threading.Event()
    workers = [Worker(cluster.mount / f"w{i}", stop) for i in range(WORKERS)]
    for worker in workers:
        worker.start()
    wait_until(lambda: all(w.done > 20 or w.error for w in workers), "the load runs")
    for node in ("1a", "1b"):
        marks = [w.done for w in workers]
        cluster.kill(node)
        wait_until(lambda: all(w.error or w.done > m + 20 for w, m in zip(workers, marks)),
                   f"work goes on after {node} was killed", timeout=60)
        wait_until(cluster.healthy, f"{node} is back and in step", timeout=60)
    stop.set()
    for worker in workers:
        worker.join()
    for worker in workers:
        worker.check()
    print("longest pause of a create, rename, link, unlink and append: "
          f"{max(w.longest_s for w in workers) * 1000:.0f} ms")
    cluster.down()
