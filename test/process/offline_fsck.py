#!/usr/bin/env python3
"""A stopped cluster: pairfs fsck looks at its volumes as they lie, finds damage of each kind that is
planted, says so with its exit code, and mends what is good elsewhere. A volume that misses too many
elements, or finds them swapped, is not served, and its nodes live on; it is when they are back."""
# time-limit: 400
# only-with: --all
import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, plant, tree_of, wait_until

need_fuse()
SOUND, REPAIRED, DAMAGED = 0, 3, 4


def fsck(cluster, *words):
    """(exit code, kinds of what was found in volume 1.0)."""
    result = pairfs("fsck", "--json", "--dir", cluster.dir, *words)
    expect(result.returncode in (SOUND, REPAIRED, DAMAGED), f"fsck: {result.stdout}{result.stderr}")
    found = {v["volume"]: v["findings"] for v in json.loads(result.stdout)}
    return result.returncode, sorted({f["kind"] for f in found["1.0"]}), found["1.0"]


def tree(cluster):
    """All but what reach_elements() writes."""
    return {name: entry for name, entry in tree_of(cluster.mount).items() if name != "mark"}


def flip(path, *offsets):
    with open(path, "r+b") as file:
        for offset in offsets:
            file.seek(offset)
            byte = file.read(1)
            file.seek(offset)
            file.write(bytes([byte[0] ^ 0xff]))


def files(cluster, element, part):
    found = [p for p in (cluster.dir / "elements" / element).rglob("*") if part in p.name and p.is_file()
             and p.stat().st_size > 0 and not p.name.startswith("confirmed")]
    expect(found, f"{element} has a file like {part}")
    return list({p.stat().st_ino: p for p in found}.values())  # several openings share a file


def rot_segments(cluster, *elements):
    for element in elements:
        for path in files(cluster, element, "segment."):
            flip(path, *range(100, path.stat().st_size, 4096))


with Cluster() as cluster:
    cluster.up("--raid", 5, "--elements", 4)
    plant(cluster.mount)
    for i in range(8):
        (cluster.mount / f"big{i}").write_bytes(os.urandom(700_000))
    cluster.reach_elements()
    before = tree(cluster)
    expect(fsck(cluster)[0] == SOUND, "the running cluster is sound")
    cluster.down()
    expect(fsck(cluster)[:2] == (SOUND, []), f"the stopped cluster is sound: {fsck(cluster)}")

    # Kinds of damage on one element: found, left alone, mended when asked to.
    rot_segments(cluster, "1.0-e1")
    for _ in range(2):
        expect(fsck(cluster)[:2] == (DAMAGED, ["data"]), f"rotten data: {fsck(cluster)}")
    expect(fsck(cluster, "--repair")[:2] == (REPAIRED, ["data"]), "and mended")
    expect(fsck(cluster)[0] == SOUND, "sound again")
    halve = lambda path: os.truncate(path, path.stat().st_size // 2)
    for part, kind in ((".sst", "metadata"), ("MANIFEST", "metadata"), ("CURRENT", "metadata"),
                       ("superblock", "superblock"), ("segment.", "data")):
        for what, harm in (("rotten", lambda path: flip(path, min(50, path.stat().st_size - 1))), ("cut", halve), ("gone", os.unlink)):
            if part == "superblock" and what == "gone":
                continue  # then the element is missing
            for path in files(cluster, "1.0-e0", part):
                harm(path)
            for _ in range(2):
                found = fsck(cluster)
                expect(found[:2] == (DAMAGED, [kind]), f"{what}: {part}: {found}")
            found = fsck(cluster, "--repair")
            expect(found[:2] == (REPAIRED, [kind]), f"{what}: {part}, and mended: {found}")
            expect(fsck(cluster)[:2] == (SOUND, []), f"{what}: {part}, and sound again")
    cluster.up()
    expect(tree(cluster) == before, "the tree is the same")
    cluster.down()

    # Of the logs one is enough; the other is made anew from it.
    for node in ("1a", "1b"):
        for path in (cluster.dir / node / "state" / "log-1.0").rglob("*"):
            used = len(path.read_bytes().rstrip(b"\0")) if path.is_file() else 0
            if used > 4096:
                flip(path, used // 2)
        code, kinds, found = fsck(cluster)
        expect(code == DAMAGED and kinds == ["log"] and f"{node}'s" in found[0]["where"], f"a rotten log: {found}")
        cluster.up()
        expect(tree(cluster) == before, "the tree is the same")
        cluster.reach_elements()
        cluster.down()
        expect(fsck(cluster)[:2] == (SOUND, []), "sound again")

    # An old copy of an element.
    elements = cluster.dir / "elements"
    shutil.copytree(elements / "1.0-e1", cluster.top / "old")
    cluster.up()
    cluster.reach_elements()
    cluster.down()
    shutil.rmtree(elements / "1.0-e1")
    (cluster.top / "old").rename(elements / "1.0-e1")
    code, kinds, found = fsck(cluster)
    expect(code == DAMAGED and kinds == ["element"] and "stale" in found[0]["where"], f"an old copy: {found}")
    cluster.up()
    wait_until(cluster.healthy, "it is rebuilt", timeout=60)
    expect(tree(cluster) == before, "the tree is the same")
    cluster.reach_elements()
    cluster.down()

    # Volumes that cannot be opened do not end their nodes.
    elements = cluster.dir / "elements"
    for name in ("1.0-e1", "1.0-e2"):
        (elements / name).rename(elements / f"{name}.away")
    code, kinds, found = fsck(cluster)
    expect(code == DAMAGED and "lost" in kinds, f"two elements are away: {found}")
    result = pairfs("up", "--dir", cluster.dir, "--mount", cluster.mount)
    print(f"up without two elements gave {result.returncode}: {result.stderr.strip().splitlines()[-1:]}")
    expect(result.returncode == 1, "up says that not all is well")
    lives = {name: cluster.pid(name) for name in ("1a", "1b")}
    expect(all(lives.values()), f"both nodes live: {lives}")
    status = cluster.status()[1]
    expect("needs more of its elements" in status["takeover_obstacle"], status["takeover_obstacle"])
    for name in ("1.0-e1", "1.0-e2"):
        (elements / f"{name}.away").rename(elements / name)
    wait_until(cluster.healthy, "the elements are back, and the volume serves", timeout=60)
    expect(tree(cluster) == before, "the tree is the same")
    expect({name: cluster.pid(name) for name in lives} == lives, "no node ended")
    cluster.down()
    (elements / "1.0-e0").rename(elements / "x")
    (elements / "1.0-e3").rename(elements / "1.0-e0")
    (elements / "x").rename(elements / "1.0-e3")
    code, kinds, found = fsck(cluster)
    expect(code == DAMAGED and "swapped" in found[0]["where"], f"swapped elements: {found}")
    result = pairfs("up", "--dir", cluster.dir, "--mount", cluster.mount)
    expect(result.returncode == 1, "up with swapped elements says that not all is well")
    expect("swapped" in cluster.status()[1]["takeover_obstacle"], cluster.status()[1]["takeover_obstacle"])
    (elements / "1.0-e0").rename(elements / "x")
    (elements / "1.0-e3").rename(elements / "1.0-e0")
    (elements / "x").rename(elements / "1.0-e3")
    wait_until(cluster.healthy, "the elements are where they belong, and the volume serves", timeout=60)
    expect(tree(cluster) == before, "the tree is the same")
    cluster.down()

    # More than the level can mend: only what lies there is lost, and it is never wrong.
    rot_segments(cluster, "1.0-e1", "1.0-e2")
    code, kinds, found = fsck(cluster, "--repair")
    expect(code == DAMAGED and "lost" in kinds, f"two rotten elements: {found}")
    cluster.up()
    wrong = lost = 0
    for name, entry in before.items():
        if entry[5] is None or isinstance(entry[5], str):
            continue
        try:
            wrong += (cluster.mount / name).read_bytes() != entry[5]
        except OSError:
            lost += 1
    expect(wrong == 0 and lost > 0, f"{lost} files cannot be read, {wrong} are wrong")
    cluster.down()
