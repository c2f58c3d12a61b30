"""A local cluster of its own in a temporary directory, taken down and removed at the end."""
import pathlib
import subprocess
import sys
import tempfile


class Cluster:
    def __init__(self, build, pairs, where=None):
        self.pairfs = str(pathlib.Path(build) / "cli" / "pairfs")
        self.top = tempfile.TemporaryDirectory(prefix="pairfs-bench-", dir=where)
        self.dir = pathlib.Path(self.top.name) / "var"
        self.mount = pathlib.Path(self.top.name) / "mnt"
        self.pairs = pairs

    def run(self, *words):
        result = subprocess.run([self.pairfs, *map(str, words)], capture_output=True, text=True)
        if result.returncode != 0:
            sys.exit(f"pairfs {' '.join(map(str, words))}: {result.stdout}{result.stderr}")
        return result.stdout

    def __enter__(self):
        try:
            self.run("up", "--dir", self.dir, "--mount", self.mount, "--pairs", self.pairs)
        except SystemExit:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([self.pairfs, "down", "--force", "--dir", str(self.dir)], capture_output=True)
        self.top.cleanup()

    def pids(self):
        """The running daemons by name: 1a, 1b, r1, ..."""
        return {file.parent.name: int(file.read_text().split()[0])
                for file in sorted(self.dir.glob("*/pid"))}
