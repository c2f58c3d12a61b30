#!/usr/bin/env python3
"""tar, cp -a, find, diff and rm -r on a tree of some thousand small files."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
from programs import Script, check, compare_trees  # noqa: E402


def options(parser):
    parser.add_argument("--source", default="/usr/include", help="the tree (default /usr/include)")
    parser.add_argument("--files", type=int, default=4000, help="at most so many files of it")


def work(script):
    tar = os.path.join(script.native, "tree.tar")
    script.step(f"packing up to {script.options.files} files of {script.options.source}")
    script.run(f"find . -type f | sort | head -n {script.options.files} | tar cf '{tar}' -T -",
               cwd=script.options.source, shell=True)
    native, here = os.path.join(script.native, "tree"), os.path.join(script.top, "tree")
    os.mkdir(native)
    os.mkdir(here)
    script.run("tar", "xf", tar, "-C", native)
    script.step("unpacking it on the filesystem under test")
    script.run("tar", "xf", tar, "-C", here)
    script.step("comparing with the native copy")
    count = compare_trees(native, here)
    script.run("diff", "-r", native, here)
    if script.second:
        script.step("comparing through the second mount")
        compare_trees(native, os.path.join(script.second, "tree"))
    script.step(f"copying {count} names with cp -a, comparing")
    script.run("cp", "-a", "tree", "copy")
    compare_trees(native, os.path.join(script.top, "copy"))
    script.step("packing the copy again, unpacking natively, comparing")
    script.run("tar", "cf", os.path.join(script.native, "again.tar"), "-C", "copy", ".")
    again = os.path.join(script.native, "again")
    os.mkdir(again)
    script.run("tar", "xf", os.path.join(script.native, "again.tar"), "-C", again)
    compare_trees(native, again)
    script.step("chmod -R, find, rm -r")
    script.run("chmod", "-R", "go-rwx", "copy")
    found = script.run("find", "copy", "-type", "f", "-perm", "/077")
    check(found == "", f"files kept permissions: {found[:200]}")
    script.run("rm", "-r", "copy", "tree")
    check(os.listdir(script.top) == [], "something is left")


Script(__doc__, ["tar", "find", "diff", "cp"], 300, options).main(work)
