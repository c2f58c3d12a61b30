#!/usr/bin/env python3
"""Two mounts that answer from what they hold under leases: what one of them was told is done, the other
one sees, whatever it knew before; also while the executor is killed, and while a holder is frozen."""
# time-limit: 300
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, wait_until

LEASE_TERM_S = 10
ROUNDS = 2000 if os.environ.get("PAIRFS_TEST_ALL") else 300

need_fuse()


def size_of(path):
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def changes(one, other, rounds, seed):
    """Every change through a mount drawn anew, every look through both, which know the state before."""
    draw = random.Random(seed)
    name = f"file-{seed}"
    paths = [one / name, other / name]
    moved = [one / (name + ".moved"), other / (name + ".moved")]
    paths[0].write_bytes(b"")
    looks = 0
    size = 0

    def both(function, wanted, what):
        nonlocal looks
        for i in (0, 1):
            looks += 1
            seen = function(i)
            expect(seen == wanted, f"{what} (round {round_}): {wanted} was done, {seen} is seen")

    for round_ in range(rounds):
        doer = draw.randrange(2)
        what = draw.choice(("append", "chmod", "unlink", "rename", "mkdir", "xattr", "truncate"))
        if what == "append":
            with open(paths[doer], "ab") as file:
                file.write(b"x" * (round_ % 5 + 1))
            size += round_ % 5 + 1
            both(lambda i: size_of(paths[i]), size, what)
            both(lambda i: len(paths[i].read_bytes()), size, what)
        elif what == "truncate":
            size = draw.randrange(10)
            os.truncate(paths[doer], size)
            both(lambda i: size_of(paths[i]), size, what)
        elif what == "chmod":
            mode = draw.choice((0o600, 0o644, 0o640))
            os.chmod(paths[doer], mode)
            both(lambda i: os.stat(paths[i]).st_mode & 0o777, mode, what)
        elif what == "unlink":
            os.unlink(paths[doer])
            both(lambda i: size_of(paths[i]), None, what)
            maker = draw.randrange(2)
            with open(paths[maker], "xb"):
                pass
            size = 0
            both(lambda i: size_of(paths[i]), 0, "create")
            both(lambda i: name in os.listdir(paths[i].parent), True, "list")
        elif what == "rename":
            os.rename(paths[doer], moved[doer])
            both(lambda i: (size_of(paths[i]), size_of(moved[i])), (None, size), what)
            os.rename(moved[1 - doer], paths[1 - doer])
            both(lambda i: (size_of(paths[i]), size_of(moved[i])), (size, None), what)
        elif what == "mkdir":
            both(lambda i: os.path.isdir(moved[i]), False, "nothing")
            os.mkdir(moved[doer])
            both(lambda i: os.path.isdir(moved[i]), True, what)
            os.rmdir(moved[1 - doer])
            both(lambda i: os.path.isdir(moved[i]), False, "rmdir")
        else:
            value = str(round_).encode()
            os.setxattr(paths[doer], "user.round", value)
            both(lambda i: os.getxattr(paths[i], "user.round"), value, what)
            os.removexattr(paths[1 - doer], "user.round")
            both(lambda i: os.listxattr(paths[i]), [], "removed xattr")
    return looks


def count_in_sqlite(top, number):
    for _ in range(number):
        with sqlite3.connect(top / "counter.db", timeout=60) as database:
            database.execute("update counter set n = n + 1")


def git(top, *words):
    done = subprocess.run(["git", "-C", str(top), "-c", "user.name=t", "-c", "user.email=t@t",
                           *words], capture_output=True, text=True, timeout=120)
    expect(done.returncode == 0, f"git {words}: {done.stdout}{done.stderr}")
    return done.stdout


def second_mount_process(cluster, second):
    for pid in os.listdir("/proc"):
        if not pid.isdigit():
            continue
        try:
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"pairfs-mount") and str(second).encode() in words:
            return int(pid)
    raise AssertionError("no process serves the second mount")


with Cluster() as cluster:
    cluster.up()
    second = cluster.top / "second"
    second.mkdir()
    cluster.others.append(second)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    expect(pairfs("mount", routers, second).returncode == 0, "the second mount")
    one, other = cluster.mount / "shared", second / "shared"
    one.mkdir()
    expect(other.is_dir(), "the other sees the directory")

    looks = changes(one, other, ROUNDS, 1)
    print(f"{looks} looks, none of them stale")

    # Everybody knows everything, and the executor is killed: what is done then is seen, at once.
    failed = []

    def keep_changing():
        try:
            changes(one, other, ROUNDS // 2, 2)
        except BaseException as error:
            failed.append(error)

    worker = threading.Thread(target=keep_changing)
    worker.start()
    executor = cluster.volumes()["1.0"]["executor"]
    cluster.kill(executor)
    begin = time.monotonic()
    (one / "after the kill").write_text("x")
    pause = time.monotonic() - begin
    expect((other / "after the kill").read_text() == "x", "seen after a takeover")
    worker.join()
    expect(not failed, f"with the executor killed: {failed}")
    print(f"the first change after the executor was killed took {pause * 1000:.0f} ms")
    wait_until(cluster.healthy, "the killed node is back", timeout=60)

    # A holder that is frozen holds others up for a term, and not for longer.
    holder = second_mount_process(cluster, second)
    (one / "held").write_text("1")
    for _ in range(3):
        expect(size_of(other / "held") == 1, "the holder knows it")
        time.sleep(0.3)
    os.kill(holder, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        (one / "not held").write_text("x")
        os.truncate(one / "held", 5)
        stalled = time.monotonic() - begin
        expect(stalled < 2 * LEASE_TERM_S + 5, f"a frozen mount held others up for {stalled:.1f} s")
        begin = time.monotonic()
        os.truncate(one / "held", 6)
        expect(time.monotonic() - begin < 3, "and only once")
    finally:
        os.kill(holder, signal.SIGCONT)
    expect(size_of(other / "held") == 6, "when it runs again it knows that it knows nothing")
    print(f"a frozen mount held others up for {stalled:.1f} s")

    # Programs.
    with sqlite3.connect(one / "counter.db") as database:
        database.execute("create table counter (n integer)")
        database.execute("insert into counter values (0)")
    workers = [threading.Thread(target=count_in_sqlite, args=(top, 25)) for top in (one, other)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    with sqlite3.connect(other / "counter.db") as database:
        counted = database.execute("select n from counter").fetchone()[0]
    expect(counted == 50, f"sqlite counted {counted} of 50")

    git(one, "init", "-q", ".")
    for turn in range(6):
        top = (one, other)[turn % 2]
        (top / f"turn-{turn}").write_text(f"{turn}\n")
        git(top, "add", f"turn-{turn}")
        git(top, "commit", "-q", "-m", f"turn {turn}")
    expect(len(git(other, "log", "--oneline").splitlines()) == 6, "six commits in turn")
    git(one, "fsck", "--strict")
    cluster.down()
