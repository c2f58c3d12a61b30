#!/usr/bin/env python3
"""A mount that is frozen for longer than its session lives, as on a laptop that slept, goes on without
being mounted again; only what rested on the session is lost: locks and unlinked open files, with EIO."""
# time-limit: 240
# only-with: --all
import errno
import fcntl
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process" / "lib"))
from cluster import Cluster, expect, need_fuse, wait_until

need_fuse()
SESSION_S = 60


def error_of(function):
    try:
        function()
        return 0
    except OSError as error:
        return error.errno


with Cluster() as cluster:
    cluster.up()
    top = cluster.mount
    (top / "plain").write_text("before")
    (top / "locked").write_text("locked")
    plain = open(top / "plain", "r+")
    locked = open(top / "locked", "r+")
    fcntl.lockf(locked, fcntl.LOCK_EX)
    orphan = open(top / "orphan", "w+")
    orphan.write("gone")
    orphan.flush()
    os.unlink(top / "orphan")
    directory = os.open(top, os.O_RDONLY)

    mount = cluster.pid("mount")
    os.kill(mount, signal.SIGSTOP)
    print(f"asleep for more than {SESSION_S} s", flush=True)
    wait_until(lambda: not cluster.status()[1]["sessions"], "the sessions have expired", timeout=SESSION_S + 60)
    os.kill(mount, signal.SIGCONT)

    expect(cluster.pid("mount") == mount, "it is the same mount")
    expect((top / "plain").read_text() == "before", "names are found")
    plain.seek(0)
    expect(plain.read() == "before", "an open file is still open")
    plain.write(" and after")
    plain.flush()
    os.fsync(plain.fileno())
    expect((top / "plain").read_text() == "before and after", "and can be written")
    (top / "new").write_text("new")
    expect("new" in os.listdir(directory), "an open directory too")
    expect(error_of(lambda: os.pread(locked.fileno(), 6, 0)) == errno.EIO,
           "a file whose lock is lost gives EIO")
    expect(error_of(lambda: os.pread(orphan.fileno(), 4, 0)) == errno.EIO,
           "an unlinked file that was open gives EIO")
    with open(top / "locked", "r+") as again:
        fcntl.lockf(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        expect(again.read() == "locked", "opened again it works, lock and all")
    for file in (plain, locked, orphan):
        error_of(file.close)
    os.close(directory)
    cluster.down()
