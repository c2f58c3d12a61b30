#!/usr/bin/env python3
"""The node with the only complete log is gone: an operator starts its partner alone, and is told what
that costs. The other one comes back: neither history is dropped before he says which one stays."""
# time-limit: 240
import atexit
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, Cluster, expect, need_fuse, pairfs, wait_until

need_fuse()


def start(cluster, name):
    log = open(cluster.dir / name / "log", "a")
    node = subprocess.Popen([BUILD / "node" / "pairfs-node", "--config",
                             cluster.dir / name / "node.toml"], stdin=subprocess.DEVNULL,
                            stdout=log, stderr=log)
    atexit.register(node.kill)
    return node


def write(path):
    with open(path, "w") as file:
        file.write(path.name)
        os.fsync(file.fileno())


with Cluster() as cluster:
    cluster.up("--no-restart")
    volume = lambda *words: pairfs("volume", *words, "--dir", cluster.dir)
    directory = cluster.mount / "d"
    directory.mkdir()
    write(directory / "both")
    fine = volume("start", "--alone")
    expect(fine.returncode == 0 and "is served by" in fine.stdout, "nothing to start while all serve")
    expect(volume("start").returncode == 2, "start without --alone is refused")
    fine = volume("resolve", "--keep", "1a")
    expect(fine.returncode == 0 and "have not diverged" in fine.stdout, "nothing to resolve")
    expect(volume("resolve", "--keep", "9z").returncode == 2, "resolve refuses a node that is not there")

    cluster.kill("1a")
    write(directory / "alone")  # only 1b has it
    cluster.kill("1b")
    first = start(cluster, "1a")
    wait_until(lambda: not cluster.status()[1]["pairs"][0]["nodes"][0]["state"] == "down", "1a is up")
    told = wait_until(lambda: (lambda r: r if r.returncode == 2 else None)(volume("start", "--alone")),
                      "start --alone says what would be lost")
    expect("whatever it answered since then" in told.stdout, f"the loss is named: {told.stdout}")
    expect("nothing was changed" in told.stderr, "and nothing is done")
    expect(not any(v["serving"] for v in cluster.volumes().values()), "nobody serves yet")
    done = volume("start", "--alone", "--yes")
    expect(done.returncode == 0, f"it starts: {done.stdout}{done.stderr}")
    expect((directory / "both").read_text() == "both", "what both had is there")
    expect(not (directory / "alone").exists(), "what only 1b had is not")
    write(directory / "after")

    second = start(cluster, "1b")
    wait_until(lambda: "pairfs volume resolve" in cluster.status()[1]["takeover_obstacle"],
               "status says that the histories have diverged", timeout=60)
    told = volume("resolve", "--keep", "1a")
    expect(told.returncode == 2 and "would be lost" in told.stdout, f"the loss is named: {told.stdout}")
    expect(not cluster.status()[1]["takeover_possible"], "and nothing is done")
    done = volume("resolve", "--keep", "1a", "--yes")
    expect(done.returncode == 0, f"it is resolved: {done.stdout}{done.stderr}")
    wait_until(cluster.healthy, "both are in step", timeout=60)
    first.kill()
    first.wait()  # 1b has the history that stayed
    wait_until(lambda: all(v["executor"] == "1b" for v in cluster.volumes().values()), "1b serves")
    expect((directory / "after").read_text() == "after", "what 1a answered alone is there")
    expect(not (directory / "alone").exists(), "what was given up does not come back")
    cluster.down()
