#!/usr/bin/env python3
"""git on a repository with history: init, add, commit, branch, merge, clone, gc, fsck, status."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
from programs import Script, check, compare_trees  # noqa: E402

IDENTITY = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org",
            "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org",
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def options(parser):
    parser.add_argument("--files", type=int, default=1500, help="files in the first commit")


def work(script):
    repository = os.path.join(script.top, "repository")

    def git(*arguments, cwd=repository):
        return script.run("git", *arguments, cwd=cwd, env=IDENTITY)

    def clean(cwd=repository):
        status = git("status", "--porcelain", cwd=cwd)
        check(status == "", f"git status is not clean: {status[:500]}")

    script.step(f"init, add and commit of {script.options.files} files")
    git("init", "-q", "-b", "main", repository, cwd=script.top)
    for i in range(script.options.files):
        directory = os.path.join(repository, f"d{i % 40}")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"f{i}.txt"), "w") as file:
            file.write("".join(f"line {line} of {i}\n" for line in range(i % 90)))
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    clean()
    script.step("twenty commits, a branch, a merge, a checkout back and forth")
    git("checkout", "-q", "-b", "side")
    for i in range(10):
        with open(os.path.join(repository, f"d{i}", "side.txt"), "w") as file:
            file.write(f"{i}\n" * 100)
        git("add", "-A")
        git("commit", "-q", "-m", f"side {i}")
    git("checkout", "-q", "main")
    for i in range(10):
        git("mv", f"d{i}/f{i}.txt", f"d{i + 10}/moved{i}.txt")
        git("commit", "-q", "-m", f"main {i}")
    git("merge", "-q", "-m", "merge", "side")
    git("checkout", "-q", "HEAD~5")
    git("checkout", "-q", "main")
    clean()
    script.step("clone within the filesystem, to the native one and back")
    git("clone", "-q", repository, os.path.join(script.top, "clone"), cwd=script.top)
    git("clone", "-q", "--no-local", repository, os.path.join(script.native, "clone"),
        cwd=script.top)
    git("clone", "-q", "--no-local", os.path.join(script.native, "clone"),
        os.path.join(script.top, "back"), cwd=script.top)
    for clone in ("clone", "back"):
        clean(os.path.join(script.top, clone))
    git("checkout", "-q", "main", cwd=os.path.join(script.native, "clone"))
    for name in [n for n in os.listdir(repository) if n != ".git"]:
        compare_trees(os.path.join(repository, name), os.path.join(script.native, "clone", name),
                      times=False)
    script.step("gc, repack and fsck")
    git("gc", "-q", "--aggressive", "--prune=now")
    git("fsck", "--full", "--strict")
    git("fsck", "--full", "--strict", cwd=os.path.join(script.top, "back"))
    clean()
    if script.second:
        script.step("status, log and a commit through the second mount")
        there = os.path.join(script.second, "repository")
        git("config", "--add", "safe.directory", "*")
        with open(os.path.join(there, "there.txt"), "w") as file:
            file.write("there\n")
        git("add", "-A", cwd=there)
        git("commit", "-q", "-m", "there", cwd=there)
        clean(there)
        clean()
        check("there" in git("log", "-1", "--format=%s"), "the commit is not seen")
        git("fsck", "--full", "--strict")


Script(__doc__, ["git"], 300, options).main(work)
