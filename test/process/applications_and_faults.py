#!/usr/bin/env python3
"""Real applications go on while nodes and routers are killed and frozen at random moments, one fault
at a time: git, sqlite, tar and checksums, and operations that must happen once. None sees an error, and
all data are right in the end. PAIRFS_CHAOS_SEED chooses the faults, PAIRFS_CHAOS_SECONDS how long."""
# time-limit: 900
# only-with: --all
import hashlib
import os
import pathlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, wait_until
from work import Load

need_fuse()
SEED = int(os.environ.get("PAIRFS_CHAOS_SEED", "1"))
SECONDS = int(os.environ.get("PAIRFS_CHAOS_SECONDS", "120"))


class Application(threading.Thread):
    """Does rounds until told to stop; the first failure ends it and is kept."""

    def __init__(self, directory, stop):
        super().__init__(daemon=True)
        self.directory, self.stop, self.error, self.rounds, self.longest_s = directory, stop, None, 0, 0.0
        directory.mkdir()

    def run(self):
        try:
            self.begin()
            while not self.stop.is_set():
                started = time.monotonic()
                self.round(self.rounds)
                self.longest_s = max(self.longest_s, time.monotonic() - started)
                self.rounds += 1
            self.end()
        except Exception as error:  # whatever it is, the test says it
            self.error = error

    def begin(self):
        pass

    def end(self):
        pass

    def run_program(self, *words):
        done = subprocess.run(words, cwd=self.directory, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL)
        expect(done.returncode == 0, f"{' '.join(words)} gave {done.returncode}: {done.stdout[-500:]}"
                                     f"{done.stderr[-500:]}")
        return done.stdout


class Git(Application):
    def git(self, *words):
        return self.run_program("git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "gc.auto=0", *words)

    def begin(self):
        self.git("init", "-q", ".")

    def round(self, number):
        for i in range(5):
            (self.directory / f"f{i}").write_text(f"{number} {i}\n" * 50)
        self.git("add", "-A")
        self.git("commit", "-qm", str(number))
        if number % 10 == 9:
            self.git("gc", "-q")

    def end(self):
        self.git("fsck", "--full", "--strict")
        commits = self.git("log", "--format=%s").split()
        expect(commits == [str(i) for i in reversed(range(self.rounds))], "every commit is there once")


class Sqlite(Application):
    def __init__(self, directory, stop, mode):
        super().__init__(directory, stop)
        self.mode = mode

    def begin(self):
        self.database = sqlite3.connect(self.directory / "db", check_same_thread=False, timeout=60)
        self.database.execute(f"pragma journal_mode={self.mode}")
        self.database.execute("create table t(n integer primary key, data blob)")
        self.database.commit()

    def round(self, number):
        self.database.execute("insert into t values(?, ?)", (number, os.urandom(3000)))
        if number >= 200:
            self.database.execute("delete from t where n = ?", (number - 200,))
        self.database.commit()

    def end(self):
        expect(self.database.execute("pragma integrity_check").fetchall() == [("ok",)], "the database is whole")
        rows = [n for (n,) in self.database.execute("select n from t order by n")]
        expect(rows == list(range(max(0, self.rounds - 200), self.rounds)), f"{self.mode}: rows {rows[:3]}...")
        self.database.close()


class Archive(Application):
    """A tree is packed, unpacked, compared, moved and removed."""

    def begin(self):
        tree = self.directory / "tree"
        generator = random.Random(SEED)
        for i in range(40):
            path = tree / f"d{i % 7}" / f"f{i}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(generator.randbytes(generator.choice((0, 10, 4096, 70_000, 1_500_000))))
        self.sums = self.sums_of(tree)

    @staticmethod
    def sums_of(tree):
        return {str(p.relative_to(tree)): hashlib.sha256(p.read_bytes()).hexdigest()
                for p in sorted(tree.rglob("*")) if p.is_file()}

    def round(self, number):
        self.run_program("tar", "cf", "tree.tar", "tree")
        (self.directory / "out").mkdir()
        self.run_program("tar", "xf", "tree.tar", "-C", "out")
        os.rename(self.directory / "out" / "tree", self.directory / "copy")
        expect(self.sums_of(self.directory / "copy") == self.sums, f"round {number}: the copy is right")
        shutil.rmtree(self.directory / "copy")
        (self.directory / "out").rmdir()
        expect(sorted(os.listdir(self.directory)) == ["tree", "tree.tar"], "nothing else is left")


def fault(cluster, chance):
    nodes = ["1a", "1b", "2a", "2b"]
    kind = chance.choice(("kill", "kill", "kill", "freeze", "freeze", "router", "twice"))
    name = chance.choice(("r1", "r2") if kind == "router" else nodes)
    print(f"{kind} {name}", flush=True)
    if kind == "freeze":
        pid, stands = cluster.pid(name), chance.uniform(0.05, 3)
        os.kill(pid, signal.SIGSTOP)
        time.sleep(stands)
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass
    else:
        cluster.kill(name)
        if kind == "twice":  # again while it comes back
            wait_until(lambda: cluster.pid(name), f"{name} runs again", timeout=30)
            time.sleep(chance.uniform(0, 0.5))
            if cluster.pid(name):
                cluster.kill(name)
    time.sleep(chance.uniform(0, 1))


with Cluster(pairs=2) as cluster:
    print(f"seed {SEED}, {SECONDS} s")
    cluster.up()
    chance = random.Random(SEED)
    stop = threading.Event()
    applications = [Git(cluster.mount / "git", stop), Sqlite(cluster.mount / "wal", stop, "wal"),
                    Sqlite(cluster.mount / "rollback", stop, "delete"), Archive(cluster.mount / "tar", stop)]
    with Load(cluster.mount, count=2, pause_s=0.01) as load:
        for application in applications:
            application.start()
        until = time.monotonic() + SECONDS
        faults = 0
        while time.monotonic() < until:
            fault(cluster, chance)
            faults += 1
            wait_until(cluster.healthy, "both nodes of each pair are in step", timeout=90)
            for application in applications:
                expect(application.error is None, f"{application.directory.name}: {application.error!r}")
            load.progress(1)
        stop.set()
        for application in applications:
            application.join(120)
            expect(not application.is_alive(), f"{application.directory.name} comes to its end")
            expect(application.error is None, f"{application.directory.name}: {application.error!r}")
            print(f"{application.directory.name}: {application.rounds} rounds, "
                  f"longest {application.longest_s * 1000:.0f} ms")
    expect(faults >= 3, "some faults were made")
    print(f"{faults} faults; longest pause of the load {load.longest_ms():.0f} ms")
    cluster.down()
