#!/usr/bin/env python3
"""Disks that become full: programs get ENOSPC, deleting and cutting always work and make room, nothing
breaks, and df says what is so. First everything of a cluster on one small disk, then elements of which
one is smaller, one that somebody else fills, and a log's disk that somebody else fills."""
# time-limit: 400
# only-with: --all
import errno
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, mounted, need_fuse, pairfs, skip, tree_of, wait_until

MIB = 1 << 20


class SmallDisk:
    """A filesystem of so many MiB at `path`."""

    def __init__(self, path, mib):
        self.path = path
        path.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=755", "none", path],
                              capture_output=True, text=True)
        if done.returncode != 0:
            skip(f"no small filesystem can be mounted: {done.stderr.strip()}")

    def free(self):
        space = os.statvfs(self.path)
        return space.f_bavail * space.f_frsize

    def hog(self):
        """Somebody else takes what is free."""
        piece = b"h" * (256 << 10)
        with open(self.path / "hog", "wb", buffering=0) as hog:
            try:
                while hog.write(piece) == len(piece):
                    pass
            except OSError as error:
                expect(error.errno == errno.ENOSPC, f"the disk is full: {error}")

    def unhog(self):
        (self.path / "hog").unlink()

    def gone(self):
        if mounted(self.path):
            subprocess.run(["umount", "-l", self.path], check=False)


def content(seed):
    return bytes([seed % 251]) * (MIB - 13 * (seed % 7))


def fill(directory, first=0, most=100_000):
    """Writes files until there is no room; gives how many are whole."""
    for i in range(first, first + most):
        try:
            (directory / f"f{i}").write_bytes(content(i))
        except OSError as error:
            expect(error.errno == errno.ENOSPC, f"a full disk gives ENOSPC, not {error}")
            (directory / f"f{i}").unlink(missing_ok=True)
            return i
    return first + most


def check(directory, numbers):
    for i in numbers:
        expect((directory / f"f{i}").read_bytes() == content(i), f"f{i} is what was written")


def df(path):
    space = os.statvfs(path)
    return (space.f_blocks * space.f_frsize, (space.f_blocks - space.f_bfree) * space.f_frsize,
            space.f_bavail * space.f_frsize)


def pids(cluster):
    return {name: cluster.pid(name) for name in ("1a", "1b")}


def fill_and_empty(cluster, directory):
    """Fills the mount; what is deleted or cut makes room at once."""
    before = pids(cluster)
    count = fill(directory)
    expect(count > 20, f"{count} files of 1 MiB fit")
    size, used, available = df(cluster.mount)
    print(f"{count} files; df: {size / MIB:.0f} MiB, {used / MIB:.0f} used, {available / MIB:.0f} available")
    expect(used >= count * MIB * 0.9, f"df counts what is there: {used}")
    check(directory, range(0, count, 5))
    os.truncate(directory / "f1", 10)
    for i in range(2, count // 2):
        (directory / f"f{i}").unlink()
    wrote = fill(directory, 1_000_000, count // 3)
    expect(wrote == 1_000_000 + count // 3, f"what was deleted makes room: {wrote - 1_000_000} of {count // 3}")
    expect((directory / "f1").stat().st_size == 10, "f1 was cut")
    check(directory, range(count // 2, count, 7))
    check(directory, range(1_000_000, wrote, 7))
    expect(pids(cluster) == before, "no node ended")
    expect(all(v["raid"]["state"] == "optimal" for v in cluster.volumes().values()), "no element was given up")


def states(cluster):
    return {e["id"]: e["state"] for e in cluster.volumes()["1.0"]["raid"]["elements"]}


def element(cluster, *words):
    result = pairfs("element", *words, "--dir", cluster.dir)
    expect(result.returncode == 0, f"element {words}: {result.stdout}{result.stderr}")


def everything_on_one_disk():
    """Elements of both volumes, and all logs."""
    with Cluster(below="small") as cluster:
        disk = SmallDisk(cluster.top / "small", 900)
        try:
            cluster.up()
            available, raw = df(cluster.mount)[2], disk.free()
            expect(raw // 2 < available <= raw * 3 // 4, f"of {raw} free bytes, 3/4 can be used: {available}")
            status = cluster.status()[1]
            elements = [e for p in status["pairs"] for v in p["volumes"] for e in v["raid"]["elements"]]
            expect(sum(e["capacity_bytes"] for e in elements) <= 900 * MIB, "the one disk is counted once")
            expect(status["capacity_bytes"] <= 900 * MIB * 3 // 4, f"usable: {status['capacity_bytes']}")
            directory = cluster.mount / "files"
            directory.mkdir()
            fill_and_empty(cluster, directory)
            expect(df(cluster.mount)[2] < available // 2, "df says that much is used")
            for _ in range(3):  # overwriting needs no more room than there is
                for i in range(1_000_000, 1_000_010):
                    (directory / f"f{i}").write_bytes(content(i))
            fill(directory, 2_000_000)
            expect(df(cluster.mount)[2] < 60 * MIB, f"df says that it is full: {df(cluster.mount)}")
            before = tree_of(cluster.mount)
            cluster.down()
            cluster.up()
            expect(tree_of(cluster.mount) == before, "a full cluster is found again")
            for path in directory.iterdir():
                path.unlink()
            wait_until(lambda: df(cluster.mount)[2] > available * 0.8, "all of the room is back", timeout=60)
            cluster.down()
        finally:
            if cluster.pid("supervisor"):
                cluster.down("--force")
            disk.gone()


def disks_of_their_own():
    """One element is smaller than the others; somebody else fills one, then all, then a log's disk."""
    with Cluster() as cluster:
        cluster.up()
        disks = []
        try:
            for i, mib in enumerate((200, 200, 120, 200)):
                disks.append(SmallDisk(cluster.top / f"disk{i}", mib))
                element(cluster, "replace", f"1.0-e{i}", disks[i].path / "element", "--wait")
            fill_and_empty(cluster, cluster.mount)  # files in the root directory are of volume 1.0
            for path in cluster.mount.iterdir():
                path.unlink()
            wait_until(lambda: disks[0].free() > 150 * MIB, "room is back", timeout=60)
            expect(fill(cluster.mount, 0, 40) == 40, "40 files fit")
            before = tree_of(cluster.mount)
            disks[0].hog()
            expect(fill(cluster.mount, 100, 60) == 160, "one element's disk that others fill stops nobody")
            wait_until(lambda: states(cluster)["1.0-e0"] == "failed", "the element is taken out", timeout=60)
            disks[0].unhog()
            element(cluster, "replace", "1.0-e0", "--wait")
            wait_until(lambda: set(states(cluster).values()) == {"ok"}, "it is rebuilt", timeout=60)
            for disk in disks:
                disk.hog()
            fill(cluster.mount, 200)
            check(cluster.mount, range(40))
            for i in range(100, 160):
                (cluster.mount / f"f{i}").unlink()
            for disk in disks:
                disk.unhog()
            expect(set(states(cluster).values()) == {"ok"}, "no element was given up")
            wait_until(lambda: disks[0].free() > 100 * MIB, "room is back", timeout=60)
            expect(fill(cluster.mount, 300, 30) == 330, "writing goes on")
            check(cluster.mount, [*range(40), *range(300, 330)])
            # The log of one node.
            cluster.down()
            disks.append(SmallDisk(cluster.top / "log-disk", 160))
            state = cluster.dir / "1a" / "state"
            shutil.copytree(state, disks[-1].path / "state")
            shutil.rmtree(state)
            state.symlink_to(disks[-1].path / "state")
            (disks[-1].path / "state").chmod(0o700)
            cluster.up()
            lives = pids(cluster)
            expect(fill(cluster.mount, 400, 60) == 460, "a small log is trimmed in time")
            disks[-1].hog()
            count = fill(cluster.mount, 500, 100)
            expect(count < 560, f"a full log gives ENOSPC, and {count - 500} files do not fit into it")
            for i in range(400, 460):
                (cluster.mount / f"f{i}").unlink()
            expect(pids(cluster) == lives, "no node ended")
            disks[-1].unhog()
            wait_until(lambda: fill(cluster.mount, 600, 20) == 620, "writing goes on", timeout=30)
            check(cluster.mount, [*range(40), *range(300, 330), *range(600, 620)])
            expect(pids(cluster) == lives, "no node ended")
            cluster.down()
        finally:
            if cluster.pid("supervisor"):
                cluster.down("--force")
            for disk in disks:
                disk.gone()


need_fuse()
if os.geteuid() != 0:
    skip("small filesystems need root")
everything_on_one_disk()
disks_of_their_own()
