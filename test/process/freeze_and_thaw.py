#!/usr/bin/env python3
"""A node that freezes is taken over; when it thaws it answers nothing stale and changes nothing.
Locks, unlinked open files and a half-read directory survive; a program with a fast timer sees no
EINTR; a process that is killed while all servers are frozen is gone."""
# time-limit: 300
import ctypes
import errno
import fcntl
import os
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, wait_until
from work import Load

need_fuse()


def volume_of(cluster, path):
    """The volume of a directory: by the slice in its inode number."""
    slice_number = os.stat(path).st_ino >> 48
    at = 0
    for volume in sorted(cluster.volumes().values(), key=lambda v: v["id"]):
        at += volume["slices"]
        if slice_number < at:
            return volume
    raise AssertionError(f"no volume has slice {slice_number}")


def directory_on(cluster, node):
    """A new directory on a volume that `node` executes."""
    for i in range(200):
        path = cluster.mount / f"on-{node}-{i}"
        path.mkdir()
        if volume_of(cluster, path)["executor"] == node:
            return path
    raise AssertionError(f"no directory came to be on {node}")


class Possessions:
    """What an application holds while its executor changes."""

    def __init__(self, place):
        self.place = place
        self.locked = open(place / "locked", "w+b")
        self.locked.write(b"0123456789")
        self.locked.flush()
        fcntl.lockf(self.locked, fcntl.LOCK_EX, 5)
        self.flocked = open(place / "flocked", "w+b")
        fcntl.flock(self.flocked, fcntl.LOCK_EX)
        self.orphan = open(place / "orphan", "w+b")
        self.orphan.write(b"x" * 70_000)
        self.orphan.flush()
        os.unlink(place / "orphan")
        (place / "many").mkdir()
        for i in range(300):
            (place / "many" / f"entry-{i:04}").touch()
        self.listing = os.scandir(place / "many")
        self.seen = [next(self.listing).name for _ in range(7)]

    def check(self):
        expect(self.tries(lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5), "locked")
               in (errno.EAGAIN, errno.EACCES), "the fcntl lock holds")
        expect(self.tries(lambda fd: fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5), "locked")
               == 0, "the bytes behind it are free")
        expect(self.tries(lambda fd: fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB), "flocked")
               == errno.EAGAIN, "the flock holds")
        self.orphan.seek(0)
        expect(self.orphan.read() == b"x" * 70_000, "the unlinked open file is there")

    def check_listing(self):
        names = self.seen + [entry.name for entry in self.listing]
        expect(sorted(names) == [f"entry-{i:04}" for i in range(300)],
               f"a half-read directory gives each name once: {len(names)}, {len(set(names))}")

    def tries(self, lock, name):
        """What another process gets: 0 or an errno."""
        pid = os.fork()
        if pid == 0:
            code = 255
            try:
                with open(self.place / name, "r+b") as file:
                    lock(file)
                code = 0
            except OSError as error:
                code = error.errno
            finally:
                os._exit(code)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def with_timer(place, stop):
    """A process whose system calls a signal interrupts every 10 ms. Its exit code is an errno."""
    pid = os.fork()
    if pid != 0:
        return pid
    libc = ctypes.CDLL(None, use_errno=True)
    code = 0
    try:
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        round_number = 0
        while code == 0 and not stop.exists():
            path = bytes(place / f"timed{round_number}")
            for call in (lambda: libc.mkdir(path, 0o755), lambda: libc.rmdir(path)):
                if call() != 0:
                    code = ctypes.get_errno()
            round_number += 1
    finally:
        os._exit(code)


with Cluster() as cluster:
    cluster.up()
    place = directory_on(cluster, "1a")
    possessions = Possessions(place)
    stop = cluster.top / "stop"
    (place / "timed").mkdir()
    timed = with_timer(place / "timed", stop)
    with Load(cluster.mount) as load:
        volume = volume_of(cluster, place)["id"]
        frozen = cluster.pid("1a")
        os.kill(frozen, signal.SIGSTOP)
        load.progress(10)
        possessions.check()
        wait_until(lambda: cluster.volumes()[volume]["executor"] == "1b", "1b took over")
        (place / "locked2").write_text("changed while it was frozen")
        os.kill(frozen, signal.SIGCONT)
        for _ in range(30):  # what the thawed node might still say would be older
            expect((place / "locked2").read_text() == "changed while it was frozen", "nothing stale")
        load.progress(10)
        wait_until(lambda: cluster.healthy(), "it is a logger again", timeout=60)
        possessions.check()
        wait_until(lambda: cluster.volumes()[volume]["executor"] == "1a", "and gets it back",
                   timeout=60)
        load.progress(10)
        possessions.check()
        cluster.kill("1a")
        load.progress(10)
        possessions.check()
    possessions.check_listing()
    stop.touch()
    code = os.waitstatus_to_exitcode(os.waitpid(timed, 0)[1])
    expect(code == 0, f"the program with a timer saw {errno.errorcode.get(code, code)}")
    print(f"longest pause: {load.longest_ms():.0f} ms")
    wait_until(cluster.healthy, "all is whole again", timeout=60)

    # All servers frozen: who waits for them can be killed all the same.
    servers = [cluster.pid(name) for name in ("1a", "1b", "r1", "r2")]
    holder = os.fork()
    if holder == 0:
        with open(place / "held", "w") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            (cluster.top / "holds").touch()
            while not (cluster.top / "frozen").exists():
                time.sleep(0.01)
        os._exit(0)  # closing waits for an answer, as a lock is held
    wait_until((cluster.top / "holds").exists, "the lock is held")
    for server in servers:
        os.kill(server, signal.SIGSTOP)
    (cluster.top / "frozen").touch()
    reader = os.fork()
    if reader == 0:
        os.stat(place / "many")
        os._exit(0)
    time.sleep(0.3)  # until both wait in the kernel, mostly
    began = time.monotonic()
    for pid in (holder, reader):
        os.kill(pid, signal.SIGKILL)
    for pid in (holder, reader):
        os.waitpid(pid, 0)
    print(f"killed processes were gone after {(time.monotonic() - began) * 1000:.0f} ms")
    for server in servers:
        os.kill(server, signal.SIGCONT)
    with open(place / "held", "r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)  # free again, sooner or later
    wait_until(cluster.healthy, "all is whole again", timeout=60)
    del possessions
    cluster.down()
