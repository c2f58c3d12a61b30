#!/usr/bin/env python3
"""rsync -aHAX of a tree with every kind of file there and back, compared; a second run moves nothing."""
import os
import socket
import stat
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
from programs import Script, check, compare_trees  # noqa: E402


def acl(uid):
    entries = [(1, 7, 0xffffffff), (2, 5, uid), (4, 5, 0xffffffff), (16, 5, 0xffffffff),
               (32, 0, 0xffffffff)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def attribute(path, name, value):
    try:
        os.setxattr(path, name, value)
    except OSError:
        print(f"  (no {name} here)")


def make_source(top):
    for i in range(300):
        directory = os.path.join(top, f"d{i % 12}", f"e{i % 5}")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, f"file {i}")
        with open(path, "wb") as file:
            file.write(os.urandom(i * 37 % 9000))
        os.chmod(path, (0o644, 0o600, 0o755, 0o4755, 0o2755, 0o444)[i % 6])
        os.utime(path, ns=(10**18 + i, 15 * 10**17 + i * 1234567))
        if os.geteuid() == 0:
            os.lchown(path, i % 7, i % 5)
            os.chmod(path, (0o644, 0o600, 0o755, 0o4755, 0o2755, 0o444)[i % 6])
        if i % 9 == 0:
            os.link(path, os.path.join(top, f"d{i % 12}", f"hard{i}"))
        if i % 11 == 0:
            os.symlink(f"file {i}", os.path.join(directory, f"soft{i}"))
    os.symlink("/nowhere/at all", os.path.join(top, "dangling"))
    with open(os.path.join(top, "big"), "wb") as file:
        for block in range(24):
            file.write(os.urandom(1 << 20) if block % 3 else bytes(1 << 20))
    os.mkfifo(os.path.join(top, "fifo"))
    here = os.getcwd()
    os.chdir(top)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    os.chdir(here)
    if os.geteuid() == 0:
        os.mknod(os.path.join(top, "null"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
    for name in (b"\xff\xfe bytes", "ü and é".encode(), b"n" * 255, b" lead", b"trail ", b"new\nline"):
        with open(os.path.join(os.fsencode(top), name), "wb") as file:
            file.write(name)
    attribute(os.path.join(top, "big"), "user.note", b"value \x00\xff")
    attribute(os.path.join(top, "big"), "user.long", b"v" * 1000)
    attribute(os.path.join(top, "d1"), "system.posix_acl_default", acl(1234))
    attribute(os.path.join(top, "d2"), "system.posix_acl_access", acl(4321))


def work(script):
    source = os.path.join(script.native, "source")
    os.mkdir(source)
    script.step("making a tree with links, bits, attributes, lists, holes and odd names")
    make_source(source)
    there = os.path.join(script.top, "tree")
    back = os.path.join(script.native, "back")
    # rsync leaves a time that is right to the second, unless it is told to look closer.
    flags = "-aHAX@-1"
    script.step("rsync to the filesystem under test")
    script.run("rsync", flags, source + "/", there + "/")
    count = compare_trees(source, there)
    script.step(f"{count} names agree; a second run should move nothing")
    moved = script.run("rsync", flags, "-i", source + "/", there + "/")
    check(moved.strip() == "", f"a second rsync changed something:\n{moved[:2000]}")
    script.step("rsync back, with checksums and sparse files")
    script.run("rsync", flags, "-S", "-c", there + "/", back + "/")
    compare_trees(source, back)
    script.step("changing, deleting and adding; rsync --delete in place")
    for i in range(0, 300, 7):
        path = os.path.join(source, f"d{i % 12}", f"e{i % 5}", f"file {i}")
        if os.path.exists(path):
            os.unlink(path)
    with open(os.path.join(source, "big"), "r+b") as file:
        file.seek(5 << 20)
        file.write(b"changed")
    script.run("rsync", flags, "--delete", "--inplace", "--no-whole-file", source + "/",
               there + "/")
    compare_trees(source, there)
    if script.second:
        script.step("comparing through the second mount")
        compare_trees(source, os.path.join(script.second, "tree"))


Script(__doc__, ["rsync"], 200).main(work)
