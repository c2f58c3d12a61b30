"""What the scripts in real_programs share: a directory of their own, steps, limits, comparisons.

A script takes a directory on the filesystem under test, works in a fresh subdirectory of it, prints
each step, and ends with exit code 0 (fine), 1 (a step failed) or 77 (skipped: a tool is missing).
"""
import argparse
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

SKIPPED = 77


class Failed(Exception):
    """A step did not give what it should."""


class Script:
    """Arguments, a place to work on the filesystem under test, and one on the native one."""

    def __init__(self, description, tools, limit_s, add_options=None):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("dir", help="a directory on the filesystem under test")
        parser.add_argument("--second", help="the same directory through a second mount")
        parser.add_argument("--limit", type=float, default=limit_s,
                            help=f"seconds that it may take (default {limit_s})")
        parser.add_argument("--keep", action="store_true", help="leave the files behind")
        if add_options:
            add_options(parser)
        self.options = parser.parse_args()
        self.start = time.monotonic()
        for tool in tools:
            if shutil.which(tool) is None:
                self.skip(f"{tool} is not installed")
        self.top = tempfile.mkdtemp(prefix="real-", dir=os.path.abspath(self.options.dir))
        os.chmod(self.top, 0o755)
        self.native = tempfile.mkdtemp(prefix="pairfs-real-")
        self.second = None
        if self.options.second:
            self.second = os.path.join(os.path.abspath(self.options.second),
                                       os.path.basename(self.top))

    def skip(self, reason):
        print(f"skipped: {reason}")
        sys.exit(SKIPPED)

    def left(self):
        left = self.options.limit - (time.monotonic() - self.start)
        if left <= 0:
            raise Failed(f"the time limit of {self.options.limit:.0f} s is over")
        return left

    def step(self, text):
        print(f"[{time.monotonic() - self.start:6.1f} s] {text}", flush=True)

    def run(self, *command, cwd=None, env=None, status=0, shell=False):
        """Runs a command within the time left; returns its output. Fails on another status."""
        shown = command[0] if shell else " ".join(command)
        process = subprocess.Popen(command[0] if shell else list(command), cwd=cwd or self.top,
                                   env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, shell=shell,
                                   start_new_session=True)
        try:
            output = process.communicate(timeout=self.left())[0].decode(errors="replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise Failed(f"{shown}: not done within the time limit")
        if process.returncode != status:
            raise Failed(f"{shown}: exit code {process.returncode}\n{output[-4000:]}")
        return output

    def main(self, work):
        """Runs work(self), cleans up and exits."""
        code = 0
        try:
            work(self)
            self.step("fine")
        except Failed as failed:
            self.step(f"FAILED: {failed}")
            code = 1
        finally:
            if not self.options.keep:
                shutil.rmtree(self.native, ignore_errors=True)
                shutil.rmtree(self.top, ignore_errors=True)
        if code == 0 and os.path.exists(self.top) and not self.options.keep:
            print(f"FAILED: {self.top} cannot be removed")
            code = 1
        sys.exit(code)


def check(condition, text):
    if not condition:
        raise Failed(text)


def digest(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def attributes(path):
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return [(name, os.getxattr(path, name, follow_symlinks=False)) for name in names
            if name != "security.selinux"]


def describe_tree(top, times=True, owners=True):
    """Every name with what should survive a copy; hard links as the first name of their group."""
    tree = {}
    links = {}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in sorted(directories + files):
            path = os.path.join(directory, name)
            relative = os.path.relpath(path, os.fsencode(top))
            status = os.lstat(path)
            entry = [oct(status.st_mode)]
            if owners:
                entry += [status.st_uid, status.st_gid]
            # rsync and tar leave the times of special files alone; directories change while copied.
            if times and (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
                entry.append(status.st_mtime_ns)
            if stat.S_ISREG(status.st_mode):
                entry += [status.st_size, digest(path)]
            if stat.S_ISLNK(status.st_mode):
                entry.append(os.readlink(path))
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                entry.append(links.setdefault((status.st_dev, status.st_ino), relative))
            entry.append(attributes(path))
            tree[relative] = entry
    return tree


def compare_trees(one, two, **options):
    """Fails with the first name that differs between two directories."""
    first, second = describe_tree(one, **options), describe_tree(two, **options)
    for name in sorted(set(first) | set(second)):
        check(first.get(name) == second.get(name),
              f"{os.fsdecode(name)} differs:\n  {first.get(name)}\n  {second.get(name)}")
    return len(first)
