#!/usr/bin/env python3
"""Both nodes of one pair stand still: paths on the other pair go on, new directories too; what needs the
silent pair waits on a mount that was told to, and ends with EIO on one that was told how long."""
# time-limit: 240
# only-with: --all
import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, wait_until

need_fuse()


def fine(result):
    expect(result.returncode == 0, f"{result.args}: {result.stdout}{result.stderr}")
    return result.stdout


def homes_of(mount):
    """A directory on each pair whose children stay with it."""
    homes = {}
    for i in range(200):
        place = mount / f"h{i}" / "x"
        place.mkdir(parents=True)
        pair = json.loads(fine(pairfs("placement", place, "--json")))["pair"]
        homes.setdefault(pair, place)
        if len(homes) == 2:
            return homes
    raise AssertionError(f"all directories are on one pair: {homes}")


def root_pair(cluster):
    return json.loads(fine(pairfs("placement", cluster.mount, "--json")))["pair"]


with Cluster(pairs=2) as cluster:
    cluster.up()
    impatient = cluster.top / "impatient"
    impatient.mkdir()
    cluster.others.append(impatient)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    fine(pairfs("mount", "-o", "retry=3", routers, impatient))
    homes = homes_of(cluster.mount)
    living = root_pair(cluster)
    dead = 3 - living
    here, there = homes[living], homes[dead]
    (there / "far").write_text("far")
    (here / "near").write_text("near")
    os.link(there / "far", here / "twin")
    # Kernels look names up from the root: the way to both is known to be on the living pair.
    frozen = [cluster.pid(f"{dead}{letter}") for letter in "ab"]
    waited = []

    def wait_for(what):
        began = time.monotonic()
        what()
        waited.append(time.monotonic() - began)

    try:
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        waiting = threading.Thread(target=wait_for, args=(lambda: (there / "later").write_text("x"),))
        moving = threading.Thread(
            target=wait_for, args=(lambda: os.rename(here / "near", there / "near"),))
        waiting.start()
        moving.start()
        longest = 0.0
        for i in range(100):
            began = time.monotonic()
            (here / f"f{i}").write_text("x")
            os.rename(here / f"f{i}", here / f"g{i}")
            expect((here / f"g{i}").read_text() == "x", "the living pair answers")
            os.mkdir(here / f"d{i}")
            longest = max(longest, time.monotonic() - began)
        print(f"longest round on the living pair: {longest * 1000:.0f} ms")
        there_again = impatient / there.relative_to(cluster.mount)
        began = time.monotonic()
        try:
            (there_again / "never").write_text("x")
            raise AssertionError("a pair that stands still has answered")
        except OSError as error:
            expect(error.errno == errno.EIO, f"EIO, not {error}")
        print(f"EIO after {time.monotonic() - began:.1f} s")
        # New directories of the top levels are placed elsewhere, once the pair is known to be silent.
        began = time.monotonic()
        for i in range(8):
            os.mkdir(cluster.mount / f"new{i}")
        print(f"8 directories of the top level in {time.monotonic() - began:.1f} s")
        expect(waiting.is_alive() and moving.is_alive(), "what needs the silent pair waits")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
    for thread in (waiting, moving):
        thread.join(60)
        expect(not thread.is_alive(), "and goes on when it is back")
    expect((there / "later").read_text() == "x", "written after all")
    expect((there / "near").read_text() == "near" and not (here / "near").exists(), "renamed after all")
    wait_until(cluster.healthy, "all are whole", 60)
    # What was prepared on the silent pair for attempts that were given up is asked for after a second.
    wait_until(lambda: json.loads(fine(pairfs("fsck", "--namespace", "--json", "--dir", cluster.dir)))
               ["open"]["held"] == 0, "nothing is held any more", 20)
    out = json.loads(fine(pairfs("fsck", "--namespace", "--json", "--dir", cluster.dir)))
    expect(out["sound"], str(out))
    cluster.down()
