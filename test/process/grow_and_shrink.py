#!/usr/bin/env python3
"""A cluster grows by a pair and shrinks again while programs write, rename between directories of
different pairs and hold locks: no program sees an error, nothing is lost, the tree is sound. A node is
killed while slices move."""
# time-limit: 600
# only-with: --all
import ctypes
import fcntl
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, wait_until

need_fuse()
libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, RENAME_EXCHANGE = -100, 2
FILES = 12  # of each program


def exchange(a, b):
    if libc.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), RENAME_EXCHANGE) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(a))


class Program(threading.Thread):
    """Moves its files and a directory between two directories, exchanges two, links one, appends to a
    log that it holds a lock on."""

    def __init__(self, home, away, name, stop):
        super().__init__()
        self.home, self.away, self.name_, self.stop = home, away, name, stop
        self.error, self.done = None, 0

    def path(self, place, i):
        return place / f"{self.name_}-f{i}"

    def run(self):
        try:
            for i in range(FILES):
                self.path(self.home, i).write_text(f"{self.name_} {i}")
            a, b = self.home / f"{self.name_}-a", self.away / f"{self.name_}-b"
            a.mkdir()
            (a / "x").write_text("x")
            b.mkdir()
            log = os.open(self.home / f"{self.name_}-log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            fcntl.flock(log, fcntl.LOCK_EX)
            while not self.stop.is_set():
                for i in range(FILES):
                    os.rename(self.path(self.home, i), self.path(self.away, i))
                exchange(a, b)
                os.link(self.path(self.away, 0), self.home / f"{self.name_}-twin")
                os.unlink(self.home / f"{self.name_}-twin")
                for i in range(FILES):
                    os.rename(self.path(self.away, i), self.path(self.home, i))
                exchange(a, b)
                os.mkdir(self.home / f"{self.name_}-d")
                os.rmdir(self.home / f"{self.name_}-d")
                os.write(log, f"{self.done}\n".encode())
                self.done += 1
            os.close(log)
        except OSError as error:
            self.error = error

    def check(self):
        expect(self.error is None, f"{self.name_}: {self.error}")
        for i in range(FILES):
            path = self.path(self.home, i)
            expect(path.read_text() == f"{self.name_} {i}", f"{path} is whole")
            expect(path.stat().st_nlink == 1, f"{path} has one name")
            expect(not self.path(self.away, i).exists(), "and is nowhere else")
        expect(sorted(os.listdir(self.home / f"{self.name_}-a")) == ["x"], "the directory is back")
        lines = (self.home / f"{self.name_}-log").read_text().splitlines()
        expect(lines == [str(i) for i in range(self.done)], "every append once")


def fine(result):
    expect(result.returncode == 0, f"{result.args}: {result.stdout}{result.stderr}")
    return result.stdout


def slices_of(cluster):
    report = json.loads(fine(pairfs("rebalance", "status", "--json", "--dir", cluster.dir)))
    found = {}
    for volume in report["volumes"]:
        pair = volume["id"].split(".")[0]
        found[pair] = found.get(pair, 0) + volume["slices"]
    return found


with Cluster() as cluster:
    cluster.up()
    homes = [cluster.mount / f"h{i}" for i in range(4)]
    for home in homes:
        home.mkdir()
    stop = threading.Event()
    programs = [Program(homes[i], homes[(i + 1) % 4], f"p{i}", stop) for i in range(3)]
    for program in programs:
        program.start()

    def go_on(why):
        marks = [p.done for p in programs]
        wait_until(lambda: all(p.error or p.done > m for p, m in zip(programs, marks)), why, 120)
        for program in programs:
            expect(program.error is None, f"{why}: {program.name_}: {program.error}")

    go_on("the load runs")
    fine(pairfs("pair", "add", "--local", "--dir", cluster.dir))
    expect(slices_of(cluster)["2"] == 0, "a new pair has nothing yet")
    go_on("work goes on with the new pair")
    fine(pairfs("rebalance", "start", "--dir", cluster.dir))
    wait_until(lambda: slices_of(cluster)["2"] > 50, "slices move", 60)
    cluster.kill("2a")
    go_on("work goes on with a killed target")
    wait_until(lambda: slices_of(cluster)["2"] > 200, "slices go on moving", 120)
    cluster.kill("1a")
    go_on("work goes on with a killed source")
    fine(pairfs("rebalance", "start", "--wait", "--timeout", "300", "--dir", cluster.dir, timeout=320))
    expect(slices_of(cluster) == {"1": 2048, "2": 2048}, f"even shares: {slices_of(cluster)}")
    go_on("work goes on after the move")
    place = json.loads(fine(pairfs("placement", homes[0], "--json")))
    expect(place["pair"] in (1, 2) and place["executor"][0] == str(place["pair"]), str(place))
    (cluster.mount / "pinned").mkdir()
    fine(pairfs("placement", cluster.mount / "pinned", "--pin", "2"))
    for i in range(6):
        child = cluster.mount / "pinned" / f"c{i}"
        child.mkdir()
        expect(json.loads(fine(pairfs("placement", child, "--json")))["pair"] == 2, "pinned")
    print(fine(pairfs("rebalance", "status", "--dir", cluster.dir)))
    fine(pairfs("fsck", "--namespace", "--dir", cluster.dir))

    wait_until(cluster.healthy, "the killed nodes are back", 60)
    refused = pairfs("pair", "remove", "2", "--dir", cluster.dir)
    expect(refused.returncode == 2, f"a pair that has slices stays: {refused.stdout}{refused.stderr}")
    fine(pairfs("pair", "drain", "2", "--wait", "--timeout", "300", "--dir", cluster.dir, timeout=320))
    go_on("work goes on after the drain")
    fine(pairfs("pair", "remove", "2", "--dir", cluster.dir))
    wait_until(lambda: cluster.pid("2a") is None and cluster.pid("2b") is None, "its nodes are gone")
    go_on("work goes on without the pair")
    stop.set()
    for program in programs:
        program.join()
    for program in programs:
        program.check()
    out = json.loads(fine(pairfs("fsck", "--namespace", "--json", "--dir", cluster.dir)))
    expect(out["sound"] and out["open"]["held"] == 0, str(out))
    cluster.down()
    cluster.up("--pairs", "2")
    expect(cluster.status()[1]["pairs"][-1]["id"] == 3, "a removed pair's number is not used again")
    for program in programs:
        program.check()
    cluster.down()
