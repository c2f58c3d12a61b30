#!/usr/bin/env python3
"""What becomes of a live cluster when its elements and logs are mishandled under load: for each
fault the clients go on (or, beyond what the level can spare, get EIO and lose nothing), the tree is
the same before and after, and the volume is optimal again at the end."""
# time-limit: 900
# only-with: --all
import os
import random
import shutil
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, plant, tree_of, wait_until

need_fuse()
SEED = int(os.environ.get("PAIRFS_TEST_SEED", "1"))


class Load(threading.Thread):
    """Writes, reads back and unlinks files until told to stop. An error ends it, unless it may_fail."""

    def __init__(self, directory, may_fail=False):
        super().__init__(daemon=True)
        self.directory, self.may_fail = directory, may_fail
        self.done, self.error, self.kept = 0, None, {}
        self.stopped = threading.Event()

    def step(self, chance):
        path = self.directory / f"f{self.done % 60}"
        content = b"%d " % self.done * (500 * (1 + self.done * 7 % 60))
        self.kept.pop(path, None)
        path.write_bytes(content)
        self.kept[path] = content
        some = chance.choice(list(self.kept))
        expect(some.read_bytes() == self.kept[some], f"{some} is not what was written")
        if self.done % 10 == 9:
            some.unlink()
            del self.kept[some]

    def run(self):
        chance = random.Random(SEED)
        self.directory.mkdir()
        while not self.stopped.is_set():
            try:
                self.step(chance)
            except OSError as error:
                if not self.may_fail:
                    self.error = error
                    return
            except AssertionError as error:
                self.error = error
                return
            self.done += 1

    def goes_on(self, what, steps=20):
        mark = self.done
        wait_until(lambda: self.error or self.done > mark + steps, f"the load goes on: {what}", timeout=60)
        expect(self.error is None, f"the load: {self.error!r}")

    def end(self):
        self.stopped.set()
        self.join(60)
        expect(self.error is None, f"the load: {self.error!r}")
        for path, content in self.kept.items():
            expect(path.read_bytes() == content, f"{path} is what was written")


class Volume:
    """Volume 1.0 of a cluster, and how to mishandle it."""

    def __init__(self, cluster):
        self.cluster, self.chance, self.load = cluster, random.Random(SEED), None

    def raid(self):
        return self.cluster.volumes()["1.0"]["raid"]

    def states(self):
        return {e["id"]: e["state"] for e in self.raid()["elements"]}

    def place(self, index):
        return self.cluster.dir / "elements" / f"1.0-e{index}"

    def beside(self, index, word):
        return self.cluster.dir / "elements" / f"1.0-e{index}.{word}"

    def files(self, index, part):
        return [p for p in self.place(index).rglob("*") if p.is_file() and part in p.name]

    def log(self, node):
        return [p for p in (self.cluster.dir / node / "state" / "log-1.0").rglob("*") if p.is_file()]

    def executor(self):
        return self.cluster.volumes()["1.0"]["executor"]

    def kill_executor(self):
        name = self.executor()
        self.cluster.kill(name)
        return name

    def flip(self, path):
        try:
            size = path.stat().st_size
            with open(path, "r+b") as file:
                for _ in range(20 if size else 0):
                    offset = self.chance.randrange(size)
                    file.seek(offset)
                    byte = file.read(1)
                    file.seek(offset)
                    file.write(bytes([byte[0] ^ 0x5a]))
        except FileNotFoundError:
            pass  # a consistency point took it away just now

    def wait_missing(self, index):
        wait_until(lambda: self.states()[f"1.0-e{index}"] == "missing", "it is missing", timeout=60)

    def replace(self, index):
        result = pairfs("element", "replace", f"1.0-e{index}", "--dir", self.cluster.dir)
        expect(result.returncode == 0, f"replace: {result.stderr}")

    def heal(self):
        """Returns when all is optimal; replaces what will not come back by itself."""
        asked = {}

        def whole():
            for index, state in ((int(k[5:]), s) for k, s in self.states().items()):
                if state in ("failed", "missing") and time.monotonic() - asked.get(index, 0) > 8:
                    asked[index] = time.monotonic()
                    pairfs("element", "replace", f"1.0-e{index}", "--dir", self.cluster.dir)
            return self.raid()["state"] == "optimal" and self.cluster.healthy()
        wait_until(whole, "everything is whole", timeout=120)


def removed(v):
    shutil.rmtree(v.place(1), ignore_errors=True)
    v.wait_missing(1)


def emptied(v):
    for path in v.place(2).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    v.wait_missing(2)


def away_for_a_while(v):
    away = v.beside(0, "away")
    for _ in range(4):
        v.place(0).rename(away)
        time.sleep(v.chance.random() * 2)
        away.rename(v.place(0))
        time.sleep(v.chance.random() * 2)


def flipped(part):
    def fault(v):
        for index in range(2):  # those that have metadata, too, one after the other
            for path in v.files(index, part):
                v.flip(path)
            v.load.goes_on(f"flipped {part}")
            scrub(v)
            v.heal()
    return fault


def cut(part, keep):
    def fault(v):
        for path in v.files(v.chance.randrange(2), part):
            if path.exists():
                os.truncate(path, path.stat().st_size * keep // 10)
    return fault


def cut_and_killed(v):
    for path in v.files(v.chance.randrange(4), ""):
        if path.exists():
            os.truncate(path, 0)
    v.kill_executor()


def stale_copy(kill):
    def fault(v):
        place, copy = v.place(1), v.beside(1, "copy")
        subprocess.run(["cp", "-a", place, copy], stderr=subprocess.DEVNULL)
        v.load.goes_on("after the copy", 100)
        v.cluster.reach_elements()
        shutil.rmtree(place, ignore_errors=True)
        copy.rename(place)
        if kill:
            v.kill_executor()
    return fault


def killed_while_rebuilding(v):
    removed(v)
    v.replace(1)
    for _ in range(3):
        v.kill_executor()
        v.load.goes_on("a takeover in a rebuild")
        wait_until(lambda: all(x["mode"] == "paired" for x in v.cluster.volumes().values()), "paired", timeout=60)


def both_killed_degraded(v):
    removed(v)
    for node in ("1a", "1b"):
        v.cluster.kill(node)


def log_damaged(what, of_executor):
    def fault(v):
        name = v.executor()
        victim = name if of_executor else {"1a": "1b", "1b": "1a"}[name]
        for path in v.log(victim):
            what(v, path)
        v.load.goes_on("a damaged log")
        v.cluster.kill(victim)
    return fault


def swap(v):
    a, b, between = v.place(0), v.place(1), v.beside(0, "between")
    a.rename(between)
    b.rename(a)
    between.rename(b)


def too_many_away(v):
    for index in (0, 1):
        v.place(index).rename(v.beside(index, "away"))
    wait_until(lambda: v.raid()["state"] == "failed", "status says failed", timeout=60)
    v.load.goes_on("what needs no element", 1)
    for index in (0, 1):
        v.beside(index, "away").rename(v.place(index))


def swapped(v):
    swap(v)
    wait_until(lambda: v.raid()["state"] == "failed", "status says failed", timeout=60)
    time.sleep(3)  # more than long enough to take them for what they are not
    expect(set(v.states().values()) == {"missing", "ok"}, f"swapped: {v.states()}")
    swap(v)


def second_lost_while_rebuilding(v):
    removed(v)
    v.replace(1)
    shutil.rmtree(v.place(2), ignore_errors=True)
    v.load.goes_on("two of level 6 are lost", 40)


def scrub(v):
    result = pairfs("scrub", "start", "--wait", "--dir", v.cluster.dir)
    expect(result.returncode == 0, f"scrub: {result.stdout}{result.stderr}")


ONE_AT_A_TIME = {
    "removed": removed, "emptied": emptied, "away for a while": away_for_a_while,
    **{f"flipped {part}": flipped(part)
       for part in ("segment.", ".sst", "MANIFEST", "CURRENT", "superblock", "confirmed", "")},
    **{f"cut {part} to {keep}/10": cut(part, keep)
       for part in ("segment.", ".sst", "MANIFEST", "CURRENT", "superblock", "") for keep in (0, 5)},
    "cut, and the executor killed": cut_and_killed,
    "a stale copy": stale_copy(False), "a stale copy, and the executor killed": stale_copy(True),
    "killed while rebuilding": killed_while_rebuilding, "both killed, degraded": both_killed_degraded,
    "the executor's log flipped": log_damaged(Volume.flip, True),
    "the logger's log flipped": log_damaged(Volume.flip, False),
    "the logger's log cut": log_damaged(lambda v, path: os.truncate(path, path.stat().st_size // 2), False),
}
TOO_MANY = {"too many away": too_many_away, "swapped": swapped}


def run(cluster, faults, may_fail=False):
    before = tree_of(cluster.mount / "tree")
    for number, (name, fault) in enumerate(faults.items()):
        print(name)
        volume = Volume(cluster)
        volume.load = Load(cluster.mount / f"load {number} {may_fail}", may_fail)
        volume.load.start()
        volume.load.goes_on("at first")
        fault(volume)
        volume.load.goes_on(name)
        volume.heal()
        volume.load.goes_on(f"{name}: healed")
        volume.load.end()
        expect(tree_of(cluster.mount / "tree") == before, f"{name}: the tree is the same")
        scrub(volume)
        volume.heal()
        shutil.rmtree(volume.load.directory)


print(f"seed {SEED}")
for level in (5, 6):
    with Cluster() as cluster:
        cluster.up("--raid", level, "--elements", 4)
        (cluster.mount / "tree").mkdir()
        plant(cluster.mount / "tree")
        for i in range(4):
            (cluster.mount / "tree" / f"big{i}").write_bytes(os.urandom(1_500_000 + i * 77))
        cluster.reach_elements()
        if level == 5:
            run(cluster, ONE_AT_A_TIME)
            run(cluster, TOO_MANY, may_fail=True)
        else:
            run(cluster, {"a second one lost while rebuilding": second_lost_while_rebuilding})
        cluster.down()
