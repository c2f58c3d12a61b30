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
import traceback

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


def program(top, asleep, awake):
    """What ran when the lid was closed. A process of its own: closing a file of a frozen mount waits, so
    whoever has one open cannot even start another program."""
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
    os.write(asleep, b".")
    expect(os.read(awake, 1) == b".", "it is woken")

    expect((top / "plain").read_text() == "before", "names are found")
    plain.seek(0)
    expect(plain.read() == "before", "an open file is still open")
    plain.write(" and after")
    plain.flush()
    os.fsync(plain.fileno())
    expect((top / "plain").read_text() == "before and after", "and can be written")
    (top / "new").write_text("new")
    expect("new" in os.listdir(directory), "an open directory too")
    for file, what in ((locked, "a file whose lock is lost"), (orphan, "an unlinked file that was open")):
        gives = error_of(lambda: os.pread(file.fileno(), 4, 0))
        expect(gives == errno.EIO, f"{what} gives EIO, not {errno.errorcode.get(gives, 'its content')}")
    with open(top / "locked", "r+") as again:
        fcntl.lockf(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        expect(again.read() == "locked", "opened again it works, lock and all")
    for file in (plain, locked, orphan):
        error_of(file.close)
    os.close(directory)


def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    return pid


with Cluster() as cluster:
    cluster.up()
    fell_asleep, asleep = os.pipe()
    awake, wake = os.pipe()
    child = in_child(lambda: program(cluster.mount, asleep, awake))
    os.close(asleep)
    expect(os.read(fell_asleep, 1) == b".", "the program is at work")

    mount = cluster.pid("mount")
    os.kill(mount, signal.SIGSTOP)
    print(f"asleep for more than {SESSION_S} s", flush=True)
    wait_until(lambda: not cluster.status()[1]["sessions"], "the sessions have expired", timeout=SESSION_S + 60)
    os.kill(mount, signal.SIGCONT)
    expect(cluster.pid("mount") == mount, "it is the same mount")
    os.write(wake, b".")
    expect(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the program went on as it should")
    cluster.down()
