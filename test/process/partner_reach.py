#!/usr/bin/env python3
"""A pair with nothing shared: each node has half of the elements to itself and reaches the others
through its partner. Either node is lost under load, and rebuilt when it is back; layouts that would
not survive that are refused."""
# time-limit: 300
# only-with: --all
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, Cluster, expect, need_fuse, pairfs, plant, tree_of, wait_until

need_fuse()


def states(cluster):
    return {e["id"]: e["state"] for v in cluster.volumes().values() for e in v["raid"]["elements"]}


with Cluster() as cluster:
    for words in (("--raid", 5), ("--raid", 6, "--elements", 6), ("--raid", 0), ("--raid", 1, "--elements", 3)):
        result = pairfs("up", "--dir", cluster.dir, "--mount", cluster.mount, "--reach", "partner", *words)
        expect(result.returncode == 2 and "survive" in result.stderr, f"{words}: {result.stderr}")
    cluster.up("--raid", 10, "--elements", 4, "--reach", "partner")
    reaches = sorted(e["reach"] for e in cluster.volumes()["1.0"]["raid"]["elements"])
    expect(reaches == ["partner:1a"] * 2 + ["partner:1b"] * 2, f"half on each node: {reaches}")
    plant(cluster.mount)
    before = tree_of(cluster.mount)
    for node in ("1a", "1b"):
        expect(pairfs("takeover", node, "--dir", cluster.dir).returncode == 0, f"takeover of {node}")
        expect(tree_of(cluster.mount) == before, f"the partner of {node} has everything")
        expect(pairfs("giveback", node, "--dir", cluster.dir).returncode == 0, f"giveback to {node}")
    for node in ("1a", "1b"):
        cluster.kill(node)
        expect(tree_of(cluster.mount) == before, f"everything is there without {node}")
        (cluster.mount / f"without {node}").write_bytes(b"written alone" * 10_000)
        before = tree_of(cluster.mount)
        wait_until(lambda: all(state == "ok" for state in states(cluster).values()) and cluster.healthy(),
                   f"{node} is back, and its elements are rebuilt", timeout=90)
        expect(tree_of(cluster.mount) == before, "nothing changed by the rebuild")
    result = pairfs("scrub", "start", "--wait", "--json", "--dir", cluster.dir)
    expect(result.returncode == 0 and '"lost_blocks": 0' in result.stdout, f"scrub: {result.stdout}")
    cluster.down()
    cluster.up("--no-restart")
    expect(tree_of(cluster.mount) == before, "and after a restart of everything")

    # Each node where the other's elements are not: an empty filesystem lies over every one of them.
    if os.geteuid() == 0 and subprocess.run(["unshare", "-m", "true"]).returncode == 0:
        elements = [e for v in cluster.volumes().values() for e in v["raid"]["elements"]]
        alone = []
        try:
            for node in ("1a", "1b"):
                hide = " && ".join(f"mount -t tmpfs -o size=64k none '{e['path']}'" for e in elements
                                   if e["reach"] != f"partner:{node}")
                cluster.kill(node)
                log = open(cluster.dir / node / "log", "a")
                alone.append(subprocess.Popen(
                    ["unshare", "-m", "sh", "-c",
                     f"{hide} && exec '{BUILD}/node/pairfs-node' --config '{cluster.dir}/{node}/node.toml'"],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log))
                wait_until(lambda: all(v["mode"] == "paired" for v in cluster.volumes().values())
                           and all(state == "ok" for state in states(cluster).values()),
                           f"{node} serves without the other's directories", timeout=90)
            (cluster.mount / "apart").write_bytes(b"nothing shared" * 30_000)
            before = tree_of(cluster.mount)
            for node in ("1a", "1b"):
                expect(pairfs("takeover", node, "--dir", cluster.dir).returncode == 0, f"takeover of {node}")
                expect(tree_of(cluster.mount) == before, f"the partner of {node} has everything, apart")
                expect(pairfs("giveback", node, "--dir", cluster.dir).returncode == 0, f"giveback to {node}")
        finally:
            pairfs("umount", "--force", cluster.mount)
            for process in alone:
                process.terminate()
            for process in alone:
                process.wait(20)
    cluster.down()
