"""The rows of the benchmark and the steps that measure them.

A row is one kind of work with few and with many processes. Steps that need files use those that an
earlier step of the same row group made. A step ends after a number of operations or of seconds.
"""
import json
import os
import shutil
import subprocess

from lib.disk import drop_caches


class Sizes:
    """How much is done; quick is for a look, not for numbers to quote."""

    def __init__(self, quick):
        self.seconds = 0.4 if quick else 2.0
        self.files = {1: 4000 if quick else 20000, 8: 1000 if quick else 5000}
        self.sequential_mib = {1: 128 if quick else 512, 4: 32 if quick else 128}
        self.random_mib = {1: 64 if quick else 256, 8: 8 if quick else 32}


# row name, unit, the processes, as in the table of results
ROWS = [
    ("create", "files/s", (1, 8)),
    ("stat cold", "/s", (1, 8)),
    ("stat warm", "/s", (1, 8)),
    ("list with attributes, cold", "entries/s", (1, 8)),
    ("rename", "/s", (1, 8)),
    ("unlink", "/s", (1, 8)),
    ("mkdir", "/s", (1, 8)),
    ("create + write 4 KiB + close", "files/s", (1, 8)),
    ("the same with fsync", "files/s", (1, 8)),
    ("read 4 KiB files cold", "files/s", (1, 8)),
    ("sequential write", "MiB/s", (1, 4)),
    ("sequential write + fsync", "MiB/s", (1, 4)),
    ("sequential read cold", "MiB/s", (1, 4)),
    ("random 4 KiB read cold", "IOPS", (1, 8)),
    ("random 4 KiB write", "IOPS", (1, 8)),
    ("random 4 KiB write + fsync", "IOPS", (1, 8)),
]


class Meter:
    """Measures one target; `results` maps (row, processes) to what pairfs-load printed."""

    def __init__(self, load, path, sizes, counters=None):
        self.load = load
        self.path = path
        self.sizes = sizes
        self.counters = counters
        self.results = {}

    def step(self, row, work, directory, processes, files=1000, mib=64, cold=False, seconds=None):
        if cold:
            drop_caches()
        before = self.counters() if self.counters and row else None
        done = subprocess.run(
            [self.load, work, directory, "processes", str(processes), "files", str(max(files, 1)),
             "mib", str(mib), "seconds", str(seconds or self.sizes.seconds)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            print(f"    {row or work}: failed: {done.stderr.strip()[:300]}", flush=True)
            return {"least": 0}
        result = json.loads(done.stdout)
        if before is not None:
            after = self.counters()
            result["counters"] = {key: (after[key] - before.get(key, 0)) / result["operations"]
                                  for key in after}
        if row:
            self.results[row, processes] = result
            print(f"    {row}, {processes}: {result['per_second']:.0f}/s"
                  f" p50 {result['p50_us']:.0f} us p99 {result['p99_us']:.0f} us", flush=True)
        return result

    def metadata(self, processes):
        directory = self.fresh("metadata", processes)
        files = self.step("create", "create", directory, processes,
                          self.sizes.files[processes])["least"]
        if files == 0:
            return
        self.step("stat cold", "stat", directory, processes, files, cold=True)
        self.step("stat warm", "stat", directory, processes, files)
        self.step("list with attributes, cold", "list", directory, processes, files, cold=True)
        files = self.step("rename", "rename", directory, processes, files)["least"]
        self.step("unlink", "unlink", directory, processes, files)
        self.step("mkdir", "mkdir", self.fresh("directories", processes), processes,
                  self.sizes.files[processes])

    def small_files(self, processes):
        directory = self.fresh("small", processes)
        files = self.step("create + write 4 KiB + close", "small_write", directory, processes,
                          self.sizes.files[processes])["least"]
        self.step("the same with fsync", "small_write_sync", directory, processes,
                  self.sizes.files[processes])
        if files:
            self.step("read 4 KiB files cold", "small_read", directory, processes, files, cold=True)

    def sequential(self, processes):
        directory = self.fresh("sequential", processes)
        mib = self.sizes.sequential_mib[processes]
        self.step("sequential write", "write", directory, processes, mib=mib)
        written = self.step("sequential write + fsync", "write_sync", directory, processes,
                            mib=mib)["least"]
        if written:
            self.step("sequential read cold", "read", directory, processes, mib=written, cold=True)

    def random(self, processes):
        directory = self.fresh("random", processes)
        mib = self.sizes.random_mib[processes]
        written = self.step(None, "write", directory, processes, mib=mib)["least"]
        if not written:
            return
        os.sync()
        self.step("random 4 KiB read cold", "random_read", directory, processes, mib=written,
                  cold=True)
        self.step("random 4 KiB write", "random_write", directory, processes, mib=written)
        self.step("random 4 KiB write + fsync", "random_write_sync", directory, processes,
                  mib=written)

    def fresh(self, name, processes):
        directory = os.path.join(self.path, f"{name}-{processes}")
        os.mkdir(directory)
        return directory

    def measure(self):
        for part in (self.metadata, self.small_files):
            for processes in (1, 8):
                part(processes)
        for processes in (1, 4):
            self.sequential(processes)
        # The space is needed; removing is not measured here.
        for name in os.listdir(self.path):
            if name.startswith("sequential"):
                shutil.rmtree(os.path.join(self.path, name), ignore_errors=True)
        for processes in (1, 8):
            self.random(processes)
        return self.results
