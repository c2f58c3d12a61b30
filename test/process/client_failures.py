#!/usr/bin/env python3
"""The mount against a server that freezes, loses answers and changes executors: commands happen
once, locks and unlinked files survive, no timer's signal shows, and a killed process is gone at once."""
# time-limit: 240
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, expect, skip, wait_until

SOLO, MOUNT = BUILD / "test" / "solo" / "pairfs-solo", BUILD / "fuse" / "pairfs-mount"
KILLED_WITHIN_S = 2.0  # 300 ms on an idle machine
F_OFD_SETLK = 37


def child(function):
    """Runs function() in a process of its own, which must not return from it."""
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(99)
    return pid


def status_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def refused(function):
    try:
        function()
    except BlockingIOError:
        return True
    return False


def killed_at_once(pids):
    begin = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    return time.monotonic() - begin < KILLED_WITHIN_S


def unlinked_files_survive_a_takeover(top, server):
    with open(top / "orphan", "w+b") as file:
        file.write(b"x" * 5000)
        file.flush()
        os.unlink(top / "orphan")
        server.send_signal(signal.SIGUSR2)
        for _ in range(20):
            os.stat(top)
            file.seek(0)
            expect(file.read() == b"x" * 5000, "an unlinked open file is there after a takeover")
            time.sleep(0.02)


def commands_happen_once_though_answers_are_lost(top, server):
    server.send_signal(signal.SIGUSR1)
    for i in range(5):
        os.mkdir(top / "once")
        os.rmdir(top / "once")
        fd = os.open(top / "appended", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, b"%04d" % i)
        os.close(fd)
    server.send_signal(signal.SIGUSR1)
    expect((top / "appended").read_text() == "00000001000200030004", "each append happened once")


def locks_go_with_their_owner(top, server):
    path = top / "lock"
    held = open(path, "w+")
    fcntl.lockf(held, fcntl.LOCK_EX)

    def waits():
        file = open(path, "r+")
        os._exit(1 if not refused(lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB))
                 else fcntl.lockf(file, fcntl.LOCK_EX) or 0)

    waiter, doomed = child(waits), child(waits)
    time.sleep(0.3)  # until both wait, mostly; the outcome is the same when they do not yet
    expect(killed_at_once([doomed]), "a process that waits for a lock dies at once")
    open(path).close()  # POSIX: closing any descriptor gives the process's locks back
    expect(status_of(waiter) == 0, "the waiter got the lock")
    again = open(path, "r+")
    wait_until(lambda: not refused(lambda: fcntl.lockf(again, fcntl.LOCK_EX | fcntl.LOCK_NB)),
               "the killed waiter left no lock")
    again.close()
    held.close()

    wanted = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)
    one, two = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
    fcntl.fcntl(one, F_OFD_SETLK, wanted)
    expect(refused(lambda: fcntl.fcntl(two, F_OFD_SETLK, wanted)), "OFD locks exclude each other")
    os.close(one)
    fcntl.fcntl(two, F_OFD_SETLK, wanted)
    os.close(two)


def many_waiting_locks_leave_the_mount_usable(top, server):
    held = open(top / "many", "w+")
    fcntl.lockf(held, fcntl.LOCK_EX)
    waiters = [child(lambda: os._exit(fcntl.lockf(open(top / "many", "r+"), fcntl.LOCK_EX) or 0))
               for _ in range(80)]
    time.sleep(0.5)
    os.mkdir(top / "beside")
    held.close()
    expect(all(status_of(pid) == 0 for pid in waiters), "each of 80 waiters got the lock")


def frozen_server(top, server):
    libc = ctypes.CDLL(None, use_errno=True)
    # Each in a directory of its own: the kernel makes names in one directory one after the other,
    # and who waits for that in the kernel cannot be killed, on any filesystem.
    for name in ("t", "n", "s"):
        os.mkdir(top / name)

    def timed():
        signal.signal(signal.SIGALRM, lambda *_: None)
        signal.siginterrupt(signal.SIGALRM, True)
        signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
        os._exit(0 if libc.mkdir(bytes(top / "t" / "timed"), 0o755) == 0 else ctypes.get_errno())

    def closes():
        file = open(top / "closed", "w+")
        fcntl.lockf(file, fcntl.LOCK_EX)
        os.kill(server.pid, signal.SIGSTOP)
        file.close()

    locker = child(closes)
    wait_until(lambda: open(f"/proc/{server.pid}/stat").read().rsplit(")", 1)[1].split()[0] == "T",
               "the server is frozen")
    timer = child(timed)
    stuck = [child(lambda: os.stat(top / "x")), child(lambda: open(top / "n" / "new", "w")),
             child(lambda: os.mkdir(top / "s" / "stuck"))]
    time.sleep(0.4)
    expect(killed_at_once(stuck + [locker]), "killed processes die though the server hangs")
    server.send_signal(signal.SIGCONT)
    expect(status_of(timer) == 0, "a timer's signal is no EINTR")
    with open(top / "closed", "r+") as file:
        wait_until(lambda: not refused(lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)),
                   "the lock of the one that was killed inside close is free")


def the_mount_ends_well(directory, endpoint, top, server):
    log = directory / "retry.log"
    other = directory / "other"
    other.mkdir()
    mount = subprocess.run([MOUNT, endpoint, other, "-o", "retry=1", "--log", log], timeout=30)
    expect(mount.returncode == 0, "a second mount")
    server.send_signal(signal.SIGSTOP)
    try:
        os.listdir(other)
        expect(False, "retry=1 must end with EIO")
    except OSError as error:
        expect(error.errno == 5, f"retry=1 ends with EIO: {error}")
    server.send_signal(signal.SIGCONT)
    wait_until(lambda: os.path.isdir(other / "beside"), "and goes on when the server is back")
    expect(subprocess.run(["umount", other], timeout=30).returncode == 0, "umount")
    missing = subprocess.run([MOUNT, "127.0.0.1:1", other], capture_output=True, timeout=30)
    expect(missing.returncode == 2 and b"no router" in missing.stderr, f"no router: {missing}")


try:
    os.close(os.open("/dev/fuse", os.O_RDWR))
except OSError as error:
    skip(f"/dev/fuse cannot be used: {error.strerror}")
if not SOLO.exists() or not MOUNT.exists():
    skip("pairfs-solo or pairfs-mount is not built")
directory = pathlib.Path(tempfile.mkdtemp(prefix="pairfs-client-"))
top = directory / "mnt"
top.mkdir()
endpoint = f"ipc://{directory}/solo"
server = subprocess.Popen([SOLO, endpoint], stdout=subprocess.PIPE)
try:
    server.stdout.readline()
    expect(subprocess.run([MOUNT, endpoint, top, "--log", directory / "log"]).returncode == 0, "mount")
    for test in (unlinked_files_survive_a_takeover, commands_happen_once_though_answers_are_lost,
                 locks_go_with_their_owner, many_waiting_locks_leave_the_mount_usable, frozen_server):
        print(test.__name__, flush=True)
        test(top, server)
    the_mount_ends_well(directory, endpoint, top, server)
finally:
    server.send_signal(signal.SIGCONT)
    subprocess.run(["umount", "-l", top], stderr=subprocess.DEVNULL)
    subprocess.run(["umount", "-l", directory / "other"], stderr=subprocess.DEVNULL)
    server.kill()
    server.wait()
    shutil.rmtree(directory, ignore_errors=True)
