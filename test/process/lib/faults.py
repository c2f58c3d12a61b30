"""Faults for process tests: daemons that stop at a chosen point (support/shim.cc), links that pass
nothing (a relay between two daemons), disks that lose power (support/fault_fs.cc)."""
import ctypes
import os
import pathlib
import select
import socket
import subprocess
import threading
import uuid

from cluster import BUILD, expect, mounted, skip, wait_until

SHIM = BUILD / "test" / "process" / "libpairfs-shim.so"
FAULT_FS = BUILD / "test" / "process" / "pairfs-fault-fs"


class Shim:
    """A directory through which daemons that were started with environment() obey."""

    def __init__(self, top):
        if not SHIM.exists():
            skip(f"{SHIM} is not built")
        self.dir = top / "shim"
        self.dir.mkdir()

    def environment(self):
        return {"LD_PRELOAD": str(SHIM), "PAIRFS_SHIM_DIR": str(self.dir)}

    def crash_at(self, name, call):
        """The daemon kills itself at its call-th change of a file from now on."""
        fresh = self.dir / f"{name}.crash.new"
        fresh.write_text(str(call))
        fresh.rename(self.dir / f"{name}.crash")

    def crash_waits(self, name):
        return (self.dir / f"{name}.crash").exists()

    def forget_crash(self, name):
        (self.dir / f"{name}.crash").unlink(missing_ok=True)

    def trace(self, name):
        (self.dir / f"{name}.trace").write_text("")

    def traced(self, name):
        return (self.dir / f"{name}.trace").read_text().splitlines()


class Relay:
    """Stands between one daemon and the socket that it connects to. Passes everything on, until
    told to pass nothing, silently: the connection stays."""

    def __init__(self, shim, name, target):
        self.target = target
        directory = shim.dir / f"{name}.route"
        directory.mkdir(exist_ok=True)
        self.path = directory / pathlib.Path(target).name
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen(16)
        self.passing = threading.Event()
        self.passing.set()
        self.connections = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                here, _ = self.listener.accept()
            except OSError:
                return
            there = socket.socket(socket.AF_UNIX)
            try:
                there.connect(self.target)
            except OSError:
                here.close()
                continue
            self.connections += 1
            threading.Thread(target=self.pass_on, args=(here, there), daemon=True).start()

    def pass_on(self, one, two):
        try:
            while True:
                self.passing.wait()
                ready, _, _ = select.select([one, two], [], [], 0.05)
                if not self.passing.is_set():
                    continue
                for source in ready:
                    data = source.recv(1 << 20)
                    if not data:
                        return
                    (two if source is one else one).sendall(data)
        except OSError:
            pass
        finally:
            one.close()
            two.close()

    def cut(self):
        self.passing.clear()

    def mend(self):
        self.passing.set()


class Disk:
    """A filesystem in memory at `path` that can lose power."""

    def __init__(self, path):
        if not FAULT_FS.exists():
            skip(f"{FAULT_FS} is not built")
        self.path = path
        path.mkdir()
        self.process = subprocess.Popen([str(FAULT_FS), "-f", "-o", "default_permissions", str(path)],
                                        stdin=subprocess.DEVNULL)
        wait_until(lambda: mounted(path), f"{path} is mounted")

    def tell(self, line):
        fd = os.open(self.path / ".control", os.O_WRONLY)
        try:
            os.write(fd, line.encode())
        finally:
            os.close(fd)

    def close(self):
        subprocess.run(["umount", "-l", str(self.path)], stderr=subprocess.DEVNULL)
        self.process.kill()
        self.process.wait()


class Machine:
    """This process and its children see a kernel that has just started whenever restart() was called:
    a boot id of their own, in a mount namespace of their own. Needs root."""

    BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")

    def __init__(self, top):
        libc = ctypes.CDLL(None, use_errno=True)
        CLONE_NEWNS, MS_REC, MS_PRIVATE, self.MS_BIND = 0x20000, 0x4000, 1 << 18, 4096
        if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
            skip(f"no mount namespace of its own: {os.strerror(ctypes.get_errno())}")
        self.libc = libc
        self.top = top
        self.restarts = 0

    def restart(self):
        self.restarts += 1
        file = self.top / f"boot-id-{self.restarts}"
        file.write_text(f"{uuid.uuid4()}\n")
        expect(self.libc.mount(bytes(file), bytes(self.BOOT_ID), None, self.MS_BIND, None) == 0,
               "a boot id of its own")
