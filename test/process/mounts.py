#!/usr/bin/env python3
"""Mounting by hand: a second mount sees the first one's changes, umount says who keeps it busy,
--force takes it away, garbage on a router's socket hurts nobody."""
# time-limit: 200
import os
import socket
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, mounted, need_fuse, pairfs, wait_until

need_fuse()

with Cluster() as cluster:
    cluster.up("--transport", "tcp")
    _, status = cluster.status()
    routers = ",".join(r["endpoint"] for r in status["routers"])
    second = cluster.top / "second mount"
    second.mkdir()
    cluster.others.append(second)

    expect(pairfs("mount", routers, second).returncode == 0, "mount through two routers")
    (cluster.mount / "one").write_text("from the first")
    expect((second / "one").read_text() == "from the first", "the second sees it at once")
    (second / "one").unlink()
    expect(not (cluster.mount / "one").exists(), "and the other way")
    wait_until(lambda: len(cluster.status()[1]["sessions"]) == 2, "both mounts are shown")
    again = pairfs("mount", routers, second)
    expect(again.returncode == 2 and again.stderr.strip(), f"a used mount point is refused: {again}")

    # Busy.
    with open(second / "held", "w") as held:
        held.write("x")
        busy = pairfs("umount", second)
        expect(busy.returncode == 1 and "busy" in busy.stderr and str(os.getpid()) in busy.stderr,
               f"umount names who keeps it busy: {busy.stderr}")
        expect(mounted(second), "and leaves it mounted")
    expect(pairfs("umount", second).returncode == 0 and not mounted(second), "umount")

    # down refuses while the mount is in use, and then nothing has changed.
    sleeper = subprocess.Popen(["sleep", "300"], cwd=cluster.mount)
    try:
        result = cluster.down(expected=1)
        expect("busy" in result.stderr and "sleep" in result.stderr, result.stderr)
        expect(cluster.healthy() and mounted(cluster.mount), "the cluster runs on")
        expect(pairfs("mount", routers, second).returncode == 0, "mount again")
        held = open(second / "held", "w")
        expect(pairfs("umount", "--force", second).returncode == 0 and not mounted(second),
               "--force takes a busy mount away")
        try:
            held.close()
        except OSError:
            pass
    finally:
        sleeper.kill()
        sleeper.wait()

    # Garbage.
    port = int(status["routers"][0]["endpoint"].rsplit(":", 1)[1])
    nodes = [int(n["endpoint"].rsplit(":", 1)[1]) for n in status["pairs"][0]["nodes"]]
    pids = {name: cluster.pid(name) for name in cluster.names()}
    for target in [port, *nodes]:
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", os.urandom(100_000), b"\xff" + b"\0" * 8 + b"\x01\x7f" * 400):
            with socket.create_connection(("127.0.0.1", target)) as peer:
                peer.sendall(garbage)
    (cluster.mount / "after").write_text("still here")
    expect({name: cluster.pid(name) for name in cluster.names()} == pids, "nobody crashed")
    expect(cluster.healthy(), "all is well")
    cluster.down()
