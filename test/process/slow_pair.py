#!/usr/bin/env python3
"""While a whole pair stands still, and many programs wait for it, the other pair serves the same mount as if
nothing were wrong; when it goes on, so do they."""
# time-limit: 200
# only-with: --all
import json
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, wait_until

need_fuse()
WAITERS = 100
FILES = 200


def directory_on(cluster, pair):
    """One at the top, so that nobody else's directory is on the way to it: these are spread, the top is pair 1's."""
    for number in range(64):
        path = cluster.mount / f"{pair} {number}"
        path.mkdir()
        if json.loads(pairfs("placement", path, "--json").stdout)["pair"] == pair:
            return path
    raise AssertionError(f"no directory came to be on pair {pair}")


def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        finally:
            os._exit(1)
    return pid


def ended(pid):
    done, status = os.waitpid(pid, os.WNOHANG)
    return done == pid and os.waitstatus_to_exitcode(status) == 0


def write_many(directory):
    for number in range(FILES):
        (directory / f"file {number}").write_text(str(number))
        expect((directory / f"file {number}").read_text() == str(number), "what was written is read")


with Cluster(pairs=2) as cluster:
    cluster.up()
    well, still = directory_on(cluster, 1), directory_on(cluster, 2)
    frozen = [cluster.pid("2a"), cluster.pid("2b")]
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    waiters = [in_child(lambda n=n: (still / f"waiter {n}").write_text(str(n))) for n in range(WAITERS)]
    try:
        writer = in_child(lambda: write_many(well))
        wait_until(lambda: ended(writer), "pair 1 serves on", timeout=90)
        expect(not any(os.waitpid(pid, os.WNOHANG)[0] for pid in waiters), "who needs pair 2 waits")
        for router in ("r1", "r2"):
            expect(cluster.pid(router) is not None, f"{router} lives")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    for number, pid in enumerate(waiters):
        expect(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, f"waiter {number} went on")
        expect((still / f"waiter {number}").read_text() == str(number), "and its file is there")
    wait_until(cluster.healthy, "all is well", timeout=60)
    cluster.down()
