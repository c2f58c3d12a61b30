#!/usr/bin/env python3
"""Renames, links, exchanges, mkdirs and rmdirs between directories of different pairs, at random from two
mounts, while nodes are killed and frozen and slices move: each program finds what it did, what two
programs fight over exists once, and the tree is sound. PAIRFS_TEST_SEED repeats a run."""
# time-limit: 400
# only-with: --all
import ctypes
import errno
import json
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, wait_until

need_fuse()
SEED = int(os.environ.get("PAIRFS_TEST_SEED", random.randrange(1 << 30)))
SECONDS = 60
HOMES = 6
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_NOREPLACE, RENAME_EXCHANGE = -100, 1, 2


def rename2(a, b, flags):
    if libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(a))


class Program(threading.Thread):
    """Knows where each of its names must be. Beside them it moves names that all programs move."""

    def __init__(self, number, homes, stop):
        super().__init__()
        self.number, self.homes, self.stop = number, homes, stop
        self.random = random.Random(SEED + number)
        self.files = {}  # (home, name) -> text
        self.directories = set()  # (home, name): each has one file in it
        self.count, self.error = 0, None

    def path(self, place):
        return self.homes[place[0]] / place[1]

    def free(self):
        while True:
            place = (self.random.randrange(HOMES), f"p{self.number}-{self.random.randrange(40)}")
            if place not in self.files and place not in self.directories:
                return place

    def step(self):
        what = self.random.randrange(9)
        files, directories = sorted(self.files), sorted(self.directories)
        if what == 0 or not files:
            place = self.free()
            self.path(place).write_text(f"{self.number} {self.count}")
            self.files[place] = f"{self.number} {self.count}"
        elif what == 1 or not directories:
            place = self.free()
            self.path(place).mkdir()
            (self.path(place) / "in").write_text("in")
            self.directories.add(place)
        elif what == 2:
            old, new = self.random.choice(files), self.free()
            os.rename(self.path(old), self.path(new))
            self.files[new] = self.files.pop(old)
        elif what == 3:
            old, new = self.random.choice(files), self.random.choice(files)
            if old != new:
                os.rename(self.path(old), self.path(new))
                self.files[new] = self.files.pop(old)
        elif what == 4:
            old, new = self.random.choice(directories), self.free()
            os.rename(self.path(old), self.path(new))
            self.directories.remove(old)
            self.directories.add(new)
        elif what == 5:
            one, other = self.random.choice(files), self.random.choice(directories)
            rename2(self.path(one), self.path(other), RENAME_EXCHANGE)
            self.files[other] = self.files.pop(one)
            self.directories.remove(other)
            self.directories.add(one)
        elif what == 6:
            old, new = self.random.choice(files), self.free()
            os.link(self.path(old), self.path(new))
            os.unlink(self.path(old))
            self.files[new] = self.files.pop(old)
        elif what == 7:
            gone = self.random.choice(directories)
            (self.path(gone) / "in").unlink()
            self.path(gone).rmdir()
            self.directories.remove(gone)
        else:
            self.fight()

    def fight(self):
        """One of the names that everybody moves; somebody else may have been quicker."""
        name = f"shared{self.random.randrange(4)}"
        a, b = self.random.sample(range(HOMES), 2)
        try:
            rename2(self.homes[a] / name, self.homes[b] / name, RENAME_NOREPLACE)
        except OSError as error:
            expect(error.errno in (errno.ENOENT, errno.EEXIST), f"a fight over {name}: {error}")

    def run(self):
        try:
            while not self.stop.is_set():
                self.step()
                self.count += 1
        except (OSError, AssertionError) as error:
            self.error = error

    def check(self):
        expect(self.error is None, f"program {self.number} after {self.count} steps: {self.error!r}")
        for place, text in self.files.items():
            expect(self.path(place).read_text() == text, f"{self.path(place)} is what it was")
            expect(self.path(place).stat().st_nlink == 1, f"{self.path(place)} has one name")
        for place in self.directories:
            expect(os.listdir(self.path(place)) == ["in"], f"{self.path(place)} is what it was")
        mine = {(h, n) for h in range(HOMES) for n in os.listdir(self.homes[h])
                if n.startswith(f"p{self.number}-")}
        expect(mine == set(self.files) | self.directories, f"no name too many: {mine}")


def fine(result):
    expect(result.returncode == 0, f"{result.args}: {result.stdout}{result.stderr}")
    return result.stdout


with Cluster(pairs=2) as cluster:
    print(f"seed {SEED}")
    cluster.up()
    other = cluster.top / "other"
    other.mkdir()
    cluster.others.append(other)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    fine(pairfs("mount", routers, other))
    for i in range(HOMES):
        (cluster.mount / f"h{i}" / "x").mkdir(parents=True)
        pair = json.loads(fine(pairfs("placement", cluster.mount / f"h{i}" / "x", "--json")))["pair"]
        print(f"h{i}/x is on pair {pair}")
    for i in range(4):
        (cluster.mount / "h0" / "x" / f"shared{i}").write_text(f"shared {i}")
    stop = threading.Event()
    programs = [Program(i, [(cluster.mount, other)[i % 2] / f"h{h}" / "x" for h in range(HOMES)], stop)
                for i in range(4)]
    for program in programs:
        program.start()
    dice = random.Random(SEED)
    end = time.monotonic() + SECONDS
    faults = 0
    try:
        while time.monotonic() < end and not any(p.error for p in programs):
            node = dice.choice(["1a", "1b", "2a", "2b"])
            marks = [p.count for p in programs]
            if dice.randrange(3) == 0:
                pid = cluster.pid(node)
                if pid:
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(dice.uniform(0.2, 3))
                    os.kill(pid, signal.SIGCONT)
            elif cluster.pid(node):
                cluster.kill(node)
            faults += 1
            wait_until(lambda: any(p.error for p in programs)
                       or all(p.count > mark for p, mark in zip(programs, marks)), "all go on", 60)
            wait_until(cluster.healthy, f"{node} is back", 90)
    finally:
        stop.set()
        for program in programs:
            program.join(60)
    expect(not any(p.is_alive() for p in programs), "every command is answered")
    for program in programs:
        program.check()
    for i in range(4):
        found = [h for h in range(HOMES) if (cluster.mount / f"h{h}" / "x" / f"shared{i}").exists()]
        expect(len(found) == 1, f"shared{i} is in {found}")
    out = json.loads(fine(pairfs("fsck", "--namespace", "--json", "--dir", cluster.dir)))
    expect(out["sound"] and out["open"]["held"] == 0 and out["open"]["decided"] == 0, str(out))
    print(f"{sum(p.count for p in programs)} steps through {faults} faults")
    cluster.down()
