#!/usr/bin/env python3
"""Levels 5, 6 and 10 on a live cluster: elements are removed, filled with rubbish and cut while the
clients work. No client notices, status says what is so, and replaced elements are rebuilt."""
# time-limit: 400
import json
import os
import random
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, plant, tree_of, wait_until

need_fuse()


class Load(threading.Thread):
    """Writes and reads back files until told to stop."""

    def __init__(self, directory):
        super().__init__()
        self.directory, self.error, self.done = directory, None, 0
        self.stopped = threading.Event()

    def run(self):
        try:
            self.directory.mkdir()
            while not self.stopped.is_set():
                path = self.directory / f"f{self.done % 50}"
                content = bytes([self.done % 251]) * (4096 * (1 + self.done % 40) + 7)
                path.write_bytes(content)
                if path.read_bytes() != content:
                    raise OSError(f"{path} is not what was written")
                self.done += 1
        except OSError as error:
            self.error = error

    def goes_on(self, what):
        mark = self.done
        wait_until(lambda: self.error or self.done > mark + 10, what, timeout=60)
        expect(self.error is None, f"the load: {self.error}")


def raid(cluster, volume="1.0"):
    return cluster.volumes()[volume]["raid"]


def state_of(cluster, name):
    return {e["id"]: e["state"] for e in raid(cluster)["elements"]}[name]


def element(cluster, *words, expected=0):
    result = pairfs("element", *words, "--dir", cluster.dir)
    expect(result.returncode == expected, f"element {words}: {result.returncode} {result.stdout}{result.stderr}")
    return result


def move_around(cluster):
    """Each node executes everything once."""
    for node in ("1a", "1b"):
        for words in (("takeover", node), ("giveback", node)):
            # Refused while volumes are still on their way home after what was killed.
            said = []
            wait_until(lambda: said.append(pairfs(*words, "--dir", cluster.dir)) or
                       said[-1].returncode == 0, f"{words}", timeout=60)


def damage(directory, seed):
    """Flips bytes in every file of an element, cuts some, removes one."""
    chance = random.Random(seed)
    files = sorted(p for p in directory.rglob("*") if p.is_file() and p.stat().st_size > 8192)
    for i, path in enumerate(files):
        if path.name.startswith("superblock"):
            continue
        size = path.stat().st_size
        with open(path, "r+b") as file:
            for _ in range(10):
                file.seek(chance.randrange(size))
                file.write(b"\xa5")
        if i % 3 == 0:
            os.truncate(path, size // 2 + 11)
    return len(files)


with Cluster() as cluster:
    cluster.up("--raid", 5, "--elements", 4)
    expect(raid(cluster)["level"] == 5 and raid(cluster)["state"] == "optimal", str(raid(cluster)))
    plant(cluster.mount)
    load = Load(cluster.mount / "load")
    load.start()
    load.goes_on("the load runs")
    try:
        # An element's directory goes away under load.
        gone = cluster.dir / "elements" / "1.0-e1"
        shutil.rmtree(gone)
        wait_until(lambda: state_of(cluster, "1.0-e1") == "missing", "status says missing", timeout=60)
        expect(raid(cluster)["state"] == "degraded", "the group is degraded")
        expect(cluster.status()[0] == 1, "status does not call that healthy")
        load.goes_on("the load goes on without the element")
        said = json.loads(pairfs("element", "list", "--volume", "1.0", "--json", "--dir", cluster.dir).stdout)
        expect(said[0]["state"] == "degraded", f"element list: {said}")
        # A second one may not be failed, and a takeover keeps what is known.
        refused = element(cluster, "fail", "1.0-e2", expected=1)
        expect("cannot do without" in refused.stderr, refused.stderr)
        cluster.kill("1a")
        load.goes_on("the load goes on after a takeover of a degraded volume")
        expect(state_of(cluster, "1.0-e1") == "missing", "the partner knows it, too")
        wait_until(lambda: cluster.volumes()["1.0"]["mode"] == "paired", "1a is back", timeout=60)
        # Another directory takes its place.
        new = cluster.top / "new-disk"
        element(cluster, "replace", "1.0-e1", new, "--wait")
        wait_until(lambda: raid(cluster)["state"] == "optimal", "it is rebuilt", timeout=60)
        expect({e["path"] for e in raid(cluster)["elements"]} >= {str(new)}, "at the new place")
        load.goes_on("the load goes on after the rebuild")
        # A spare steps in for one that an operator fails.
        element(cluster, "add", cluster.top / "spare", "--volume", "1.0")
        element(cluster, "fail", "1.0-e3")
        wait_until(lambda: raid(cluster)["state"] == "optimal", "the spare is rebuilt", timeout=60)
        expect(str(cluster.top / "spare") in [e["path"] for e in raid(cluster)["elements"]], "it is in use")
        # Rot on one element, in every file: mended by reads, and what nobody reads by a scrub.
        load.goes_on("the load goes on with the spare")
        damage(cluster.dir / "elements" / "1.0-e0", 1)
        load.goes_on("the load goes on over rotten bytes")
    finally:
        load.stopped.set()
        load.join()
    expect(load.error is None, f"the load: {load.error}")
    before = tree_of(cluster.mount)
    move_around(cluster)
    expect(tree_of(cluster.mount) == before, "the tree is the same after takeovers")
    cluster.reach_elements()
    before = tree_of(cluster.mount)
    damage(cluster.dir / "elements" / "1.0-e2", 2)
    result = pairfs("scrub", "start", "--wait", "--json", "--dir", cluster.dir)
    expect(result.returncode == 0, f"scrub: {result.stdout}{result.stderr}")
    found = {s["volume"]: s for s in json.loads(result.stdout)}
    expect(found["1.0"]["repaired_blocks"] > 0 and found["1.0"]["lost_blocks"] == 0, str(found))
    result = pairfs("scrub", "start", "--wait", "--json", "--dir", cluster.dir)
    found = {s["volume"]: s for s in json.loads(result.stdout)}
    expect(found["1.0"]["repaired_blocks"] == 0, f"a second scrub finds nothing: {found}")
    expect(tree_of(cluster.mount) == before, "the tree is the same after damage and scrub")
    cluster.down()
    # A stale copy: what an element was before the last run comes back in its place.
    place, copy = cluster.dir / "elements" / "1.0-e0", cluster.top / "old-copy"
    shutil.copytree(place, copy)
    cluster.up()
    (cluster.mount / "after the copy").write_bytes(b"new" * 100_000)
    move_around(cluster)
    cluster.reach_elements()
    before = tree_of(cluster.mount)
    cluster.down()
    shutil.rmtree(place)
    shutil.move(copy, place)
    cluster.up()
    expect(tree_of(cluster.mount) == before, "nothing of the old copy is served")
    wait_until(lambda: raid(cluster)["state"] == "optimal", "the old copy is brought up to date", timeout=60)
    cluster.down()
