#!/usr/bin/env python3
"""pairfs selftest on a native directory and on two mounts of a cluster: its report, its JSON, its exit
codes; and that it notices a second path that is another directory."""
# time-limit: 250
# only-with: --all
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs

need_fuse()
SOME = [word for group in ("integrity", "two mounts: names", "lock: ", "rename: ")
        for word in ("--filter", group)]

with Cluster() as cluster:
    cluster.up()
    second = cluster.top / "second"
    second.mkdir()
    cluster.others.append(second)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    expect(pairfs("mount", routers, second).returncode == 0, "a second mount")

    report = pairfs("selftest", cluster.mount, "--second", second, "--json", *SOME, timeout=200)
    expect(report.returncode == 0, report.stdout + report.stderr)
    result = json.loads(report.stdout)
    expect(result["failed"] == 0 and result["passed"] > 20, report.stdout)
    expect(set(result["sections"]) == {"POSIX behaviour", "locks", "coherence of two mounts",
                                       "data integrity"}, f"every section: {result['sections']}")
    expect("ok   integrity: " in report.stderr, "progress")
    expect(os.listdir(cluster.mount) == [], "nothing is left behind")

    native = cluster.top / "native"
    native.mkdir()
    plain = pairfs("selftest", native, "--filter", "integrity")
    expect(plain.returncode == 0 and "passed everything" in plain.stdout, plain.stdout)
    skipped = pairfs("selftest", native, "--filter", "two mounts: names")
    expect(skipped.returncode == 0 and "needs a second mount" in skipped.stdout, skipped.stdout)
    for words, saying in (([native, "--second", cluster.mount], "another mount"),
                          ([cluster.top / "absent"], "absent"), ([], "name a directory"),
                          ([native, "--filter", "no such case"], "--list")):
        wrong = pairfs("selftest", *words)
        expect(wrong.returncode == 2 and saying in wrong.stderr, f"{words}: {wrong}")
    expect("rename: " in pairfs("selftest", "--list").stdout, "--list")
    cluster.down()
