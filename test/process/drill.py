#!/usr/bin/env python3
"""pairfs drill on a live cluster: each fault shows its timeline, loses nothing, and leaves the pair
whole; it refuses what it cannot do."""
# time-limit: 200
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, wait_until

need_fuse()


def drill(cluster, *words, expected=0):
    result = pairfs("drill", *words, "--dir", cluster.dir)
    expect(result.returncode == expected,
           f"drill {words} gave {result.returncode}: {result.stdout}{result.stderr}")
    return result


def steps(period):
    return list(dict.fromkeys(step["step"] for step in period["timeline"]))


with Cluster() as cluster:
    cluster.up()
    for words, load, wanted in ((["--kill"], "creates", ["detected", "swapped", "opened", "replayed",
                                                         "serving", "first_answer"]),
                                (["--freeze", "1b"], "writes", ["detected", "swapped", "opened",
                                                                "replayed", "first_answer"]),
                                (["--planned", "1a"], "none", ["handing_over", "drained", "swapped",
                                                               "opened", "first_answer"])):
        wait_until(lambda: all(v["executor"] == v["home"] for v in cluster.volumes().values()),
                   "all are at home", timeout=60)
        wait_until(cluster.healthy, "whole", timeout=60)
        result = json.loads(drill(cluster, *words, "--load", load, "--json").stdout)
        shown = steps(result["periods"][0])
        expect([s for s in shown if s in wanted] == wanted, f"{words}: {shown}")
        expect(result["acknowledged"] > 0 and result["lost"] == 0 and result["errors"] == 0,
               f"{words}: {result}")
        print(words, [f"{p['what']} {p['longest_pause_ms']:.0f} ms" for p in result["periods"]])
    text = drill(cluster, "--kill", "r1").stdout
    expect("longest pause" in text and " 0 lost, 0 errors" in text, text)
    expect(os.listdir(cluster.mount) == [], "the drills cleaned up")
    expect("no node" in drill(cluster, "--kill", "9z", expected=2).stderr, "an unknown target")
    drill(cluster, expected=2)
    cluster.kill("1b")
    expect("cannot take" in drill(cluster, "--kill", "1a", expected=1).stderr,
           "no drill while the pair is not whole")
    cluster.down()
