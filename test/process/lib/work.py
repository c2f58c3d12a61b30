"""Work whose outcome can be checked: operations that must happen exactly once, from several threads,
each remembering what was acknowledged to it."""
import os
import threading
import time

from cluster import expect


class Worker(threading.Thread):
    """Creates with O_EXCL, appends, renames, links and unlinks in a directory of its own; keeps the
    longest pause that it saw. An error ends it, except where the mount itself may die."""

    def __init__(self, directory, stop, pause_s=0.0):
        super().__init__(daemon=True)
        self.directory, self.stop, self.pause_s = directory, stop, pause_s
        self.error, self.done, self.synced, self.longest_s = None, 0, 0, 0.0

    def run(self):
        try:
            self.directory.mkdir()
            log = os.open(self.directory / "log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
            while not self.stop.is_set():
                started = time.monotonic()
                self.one(self.done)
                os.write(log, f"{self.done}\n".encode())
                self.done += 1
                if self.done % 10 == 0:
                    os.fsync(log)  # of the volume's whole history up to here
                    self.synced = self.done
                self.longest_s = max(self.longest_s, time.monotonic() - started)
                if self.pause_s:
                    time.sleep(self.pause_s)
            os.close(log)
        except OSError as error:
            self.error = error

    def one(self, number):
        name = self.directory / f"f{number}"
        fd = os.open(str(name) + ".new", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(fd, str(number).encode())
        os.close(fd)
        os.rename(str(name) + ".new", name)
        os.link(name, str(name) + ".twin")
        os.unlink(str(name) + ".twin")

    def check(self):
        """After stop and join: each acknowledged operation is there, and happened once."""
        expect(not self.is_alive(), f"{self.directory.name} came to its end")
        expect(self.error is None, f"{self.directory.name}: {self.error}")
        self.check_from(self.done, self.done, whole=True)

    def check_from(self, least, most, whole=False):
        """The state is that after some round from `least` to `most`, or within the one behind it;
        `whole`: not within one."""
        names = set(os.listdir(self.directory))
        lines = (self.directory / "log").read_text().splitlines()
        expect(lines == [str(i) for i in range(len(lines))], "every append once and in order")
        expect(least <= len(lines) <= most + (not whole),
               f"{len(lines)} rounds are there, {least} to {most} were expected")
        complete = {f"f{i}" for i in range(len(lines))}
        expect(complete <= names,
               f"{self.directory.name}: {sorted(complete - names)[:5]} are missing")
        next_one = f"f{len(lines)}"
        rest = names - complete - {"log"}
        allowed = set() if whole else {next_one, next_one + ".new", next_one + ".twin"}
        expect(rest <= allowed, f"{self.directory.name}: {sorted(rest)[:5]} should not be there")
        for i in range(len(lines)):
            expect((self.directory / f"f{i}").read_text() == str(i), f"f{i} is whole")
            expect((self.directory / f"f{i}").stat().st_nlink == 1, f"f{i} has one name")


class Load:
    """Several workers; use as a context: leaving it stops and checks them."""

    def __init__(self, mount, count=3, pause_s=0.0):
        self.stop = threading.Event()
        self.workers = [Worker(mount / f"w{i}", self.stop, pause_s) for i in range(count)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        self.progress(10)
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        if kind is None:
            self.join()
            for worker in self.workers:
                worker.check()

    def join(self, timeout_s=90):
        deadline = time.monotonic() + timeout_s
        for worker in self.workers:
            worker.join(max(0, deadline - time.monotonic()))

    def progress(self, rounds=5, timeout_s=90):
        """Returns when every worker did so many rounds more, or failed."""
        marks = [w.done for w in self.workers]
        deadline = time.monotonic() + timeout_s
        while not all(w.error or w.done >= m + rounds for w, m in zip(self.workers, marks)):
            expect(time.monotonic() < deadline, "the work goes on")
            time.sleep(0.02)
        for worker in self.workers:
            expect(worker.error is None, f"{worker.directory.name}: {worker.error}")

    def longest_ms(self):
        return max(w.longest_s for w in self.workers) * 1000
