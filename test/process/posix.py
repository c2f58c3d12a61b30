#!/usr/bin/env python3
"""The POSIX cases, with two mounts of one cluster, and random operations compared with a native
directory."""
# time-limit: 900
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, Cluster, expect, need_fuse, pairfs

need_fuse()
SEED = os.environ.get("PAIRFS_SEED", "1")
OPERATIONS = "50000" if os.environ.get("PAIRFS_TEST_ALL") else "5000"
# The kernel asks a FUSE server nothing when a special file is opened or a protected hard link is made,
# unless it checks permissions itself: those cases run on a mount where it does.
KERNEL_CHECKS = ["special: permissions and owner of special files", "where hard links are protected"]

# Without --all only the groups that are quick on a busy machine, and no random operations.
ALL = bool(os.environ.get("PAIRFS_TEST_ALL"))
QUICK = ["open:", "acl:", "xattr:", "rename:", "directory:", "unlink:", "permission:", "times:", "link:",
         "special:", "setuid and setgid:", "utimens:", "symlink:", "name:", "chmod:", "chown:",
         "setgid directory:", "sticky:"]

with Cluster(pairs=2) as cluster:
    cluster.up()
    second = cluster.top / "second"
    second.mkdir()
    cluster.others.append(second)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    expect(pairfs("mount", routers, second).returncode == 0, "a second mount")
    suite = subprocess.run([BUILD / "test/posix/pairfs-posix-suite", cluster.mount, "--second", second,
                            *(word for case in KERNEL_CHECKS for word in ("--without", case)),
                            *(word for group in ([] if ALL else QUICK) for word in ("--filter", group))])
    expect(suite.returncode == 0, "the POSIX cases pass")
    third = cluster.top / "third"
    third.mkdir()
    cluster.others.append(third)
    expect(pairfs("mount", routers, third, "-o", "default_permissions").returncode == 0, "a third mount")
    checked = subprocess.run([BUILD / "test/posix/pairfs-posix-suite", third,
                              *(word for group in ["special:", "permission:", "acl:"]
                                for word in ("--filter", group))])
    expect(checked.returncode == 0, "the cases about permissions pass with default_permissions")
    if not ALL:
        sys.exit(0)
    here, native = cluster.mount / "fsx", cluster.top / "native"
    here.mkdir()
    native.mkdir()
    fsx = subprocess.run([BUILD / "test/posix/pairfs-fsx", "--dir", here, "--second-dir", second / "fsx",
                          "--oracle", native, "--no-foreign-links", "--seed", SEED, "--ops", OPERATIONS])
    expect(fsx.returncode == 0, f"random operations from seed {SEED} agree with a native directory")
