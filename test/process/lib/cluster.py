"""Clusters for process tests: each in a temporary directory of its own, which goes at the end
together with every process that the test started, and no other. Python's standard library only.

    with Cluster() as cluster:
        cluster.up()
        (cluster.mount / "file").write_text("hello")
"""
import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(os.environ.get("PAIRFS_BUILD",
                                    pathlib.Path(__file__).resolve().parents[3] / "build"))
PAIRFS = BUILD / "cli" / "pairfs"
SKIPPED = 77


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def need_fuse():
    """Ends the test as skipped where nothing can be mounted."""
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        skip(f"/dev/fuse cannot be used: {error.strerror}")
    for program in ("cli/pairfs", "router/pairfs-router", "node/pairfs-node", "fuse/pairfs-mount"):
        if not (BUILD / program).exists():
            skip(f"{program} is not built")


def pairfs(*words, environment=None, timeout=150, cwd=None):
    """Runs the command; gives its CompletedProcess with text output."""
    return subprocess.run([str(PAIRFS), *map(str, words)], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=timeout, cwd=cwd,
                          env={**os.environ, **(environment or {})})


def wait_until(condition, what, timeout=30):
    """Looks every 20 ms until condition() is true; gives what it gave."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.02)


def expect(condition, what):
    if not condition:
        raise AssertionError(what)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def mounted(path):
    """True when something is mounted at `path`, dead or alive."""
    escaped = str(path).replace("\\", "\\134").replace(" ", "\\040")
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4] == escaped:
            return True
    return False


class Cluster:
    def __init__(self, below="", pairs=1, routers=2):
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="pairfs-test-"))
        self.top.chmod(0o755)  # tests run as other users too; state directories close themselves
        base = self.top / below
        base.mkdir(parents=True, exist_ok=True)
        self.dir = base / "var"
        self.mount = base / "mnt"
        self.options = ["--pairs", pairs, "--routers", routers]
        self.others = []  # further mount points

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that __exit__ runs
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind is not SystemExit:
            self.show_logs()
        for path in self.others + [self.mount]:
            if mounted(path):
                pairfs("umount", "--force", path)
        try:
            if (self.dir / "cluster.toml").exists():
                pairfs("down", "--force", "--dir", self.dir)
        finally:
            for pid_file in [self.dir / "supervisor.pid", *self.dir.glob("*/pid")]:
                self._end(pid_file)
            shutil.rmtree(self.top, ignore_errors=True)

    @staticmethod
    def _end(pid_file):
        try:
            pid, start = pid_file.read_text().split()[:2]
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19] == start:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            pass

    def show_logs(self):
        for log in [self.dir / "supervisor.log", *sorted(self.dir.glob("*/log"))]:
            if log.is_file():
                print(f"---- {log}")
                print("\n".join(log.read_text(errors="replace").splitlines()[-15:]))

    def up(self, *words, expected=0, **kwargs):
        if not (self.dir / "cluster.toml").exists():
            words = [*self.options, *words]
        result = pairfs("up", "--dir", self.dir, "--mount", self.mount, *words, **kwargs)
        expect(result.returncode == expected,
               f"up gave {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def down(self, *words, expected=0):
        result = pairfs("down", "--dir", self.dir, *words)
        expect(result.returncode == expected,
               f"down gave {result.returncode}: {result.stdout}{result.stderr}")
        return result

    def status(self):
        """(exit code, the JSON)."""
        result = pairfs("status", "--json", "--dir", self.dir)
        try:
            return result.returncode, json.loads(result.stdout)
        except ValueError:
            raise AssertionError(f"no JSON: {result.stdout}{result.stderr}") from None

    def healthy(self):
        return self.status()[0] == 0

    def volumes(self):
        return {v["id"]: v for p in self.status()[1]["pairs"] for v in p["volumes"]}

    def reach_elements(self, volume="1.0"):
        """Returns when all that was written is in segments and metadata files, not only in logs."""
        (self.mount / "mark").write_bytes(os.urandom(8))
        written = self.volumes()[volume]["log"]["last_sequence"]
        wait_until(lambda: self.volumes()[volume]["log"]["checkpoint_sequence"] >= written,
                   "a consistency point has it all", timeout=60)

    def names(self):
        return sorted(p.parent.name for p in self.dir.glob("*/pid"))

    def pid(self, name):
        """Of a daemon ("1a", "r1", "mount") or of "supervisor"; None when it does not live."""
        path = self.dir / "supervisor.pid" if name == "supervisor" else self.dir / name / "pid"
        try:
            pid = int(path.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if alive(pid) else None

    def kill(self, name):
        """kill -9; returns when it is gone."""
        pid = self.pid(name)
        expect(pid is not None, f"{name} does not run")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid), f"{name} is gone")
        return pid

    def kill_everything(self):
        self.kill("supervisor")
        for name in self.names():
            if self.pid(name):
                self.kill(name)


def tree_of(directory):
    """What is in a tree, as a dictionary that two looks can be compared by."""
    tree = {}
    for path in sorted(directory.rglob("*")):
        stat = path.lstat()
        name = str(path.relative_to(directory))
        content = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = path.read_bytes()
        tree[name] = (stat.st_mode, stat.st_nlink, stat.st_uid, stat.st_gid, stat.st_mtime_ns, content)
    return tree


def plant(directory, files=40):
    """A small tree with the usual kinds of things in it."""
    for i in range(files):
        place = directory / f"d{i % 5}" / f"e{i % 3}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file {i}").write_bytes(bytes([i]) * (i * 997))
    os.symlink("d0/e0/file 0", directory / "link")
    os.link(directory / "d0" / "e0" / "file 0", directory / "d1" / "hard")
    os.truncate(directory / "d0" / "e0" / "file 0", 12345)
    (directory / "d1" / "e1" / "file 1").chmod(0o640)
    os.rename(directory / "d2", directory / "moved")


def is_dead(path):
    try:
        os.stat(path)
        return False
    except OSError as error:
        return error.errno == errno.ENOTCONN
