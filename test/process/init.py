#!/usr/bin/env python3
"""pairfs init: its files are right for the daemons, also with every key that they show; a cluster that
it wrote for this machine serves, and so does a pair that pair add --pair wrote; nothing is overwritten."""
# time-limit: 150
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, expect, need_fuse, pairfs, wait_until

need_fuse()
PROGRAM = {"r": BUILD / "router" / "pairfs-router"}
NODE = BUILD / "node" / "pairfs-node"


def program_of(path):
    return PROGRAM.get(path.stem[0], NODE)


def check(path):
    result = subprocess.run([program_of(path), "--config", path, "--check"], capture_output=True, text=True)
    expect(result.returncode == 0, f"{path}: {result.stderr}")


def free_port_range(count):
    """The first of `count` ports in a row that nobody listens on now."""
    for first in range(23000 + os.getpid() % 5000, 60000, count):
        held = []
        try:
            for port in range(first, first + count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for one in held:
                one.close()
    raise AssertionError("no free ports")


top = pathlib.Path(tempfile.mkdtemp(prefix="pairfs-init-"))
children = []
mount = top / "mnt"
try:
    out = top / "cluster"
    words = ["init", "--pair", "node1.example,node2.example", "--pair", "10.0.0.3,10.0.0.4",
             "--router", "node1.example", "--router", "10.0.0.9", "--out", out]
    made = pairfs(*words)
    expect(made.returncode == 0, made.stderr)
    for part in ("a cluster of 2 pairs and 2 routers", "scp", "systemctl enable --now pairfs-node@2b", "/srv/pairfs/2.1-e1",
                 "mount -t fuse.pairfs node1.example:7400,10.0.0.9:7400"):
        expect(part in made.stdout, f"it says {part}: {made.stdout}")
    files = sorted(out.glob("*/*.toml"))
    expect(sorted(f.stem for f in files) == ["1a", "1b", "2a", "2b", "r1", "r2"], f"one per daemon: {files}")
    for path in files:
        check(path)
        shown = re.sub(r"^#(\w+ = )", r"\1", path.read_text(), flags=re.MULTILINE)
        expect(shown != path.read_text(), "optional keys are shown")
        path.write_text(shown)
        check(path)
    before = {path: path.read_bytes() for path in files}
    again = pairfs(*words)
    expect(again.returncode == 2 and "not overwritten" in again.stderr, again.stderr)
    expect({path: path.read_bytes() for path in files} == before, "and nothing changed")
    for wrong, saying in ((["--pair", "a"], "two hosts"),
                          (["--pair", "a,b", "--reach", "partner", "--raid", "0"], "does not survive"), (["--pair", "a,a"], "go down together"),
                          (["--pair", "a,b:1"], "two hosts"), (["--pair", "a,b", "--router", "x y"], "x y"),
                          (["--pair", "a,b", "--state-dir", "relative"], "absolute")):
        refused = pairfs("init", *wrong, "--out", top / "wrong")
        expect(refused.returncode == 2 and saying in refused.stderr, f"{wrong}: {refused}")
        expect(not (top / "wrong").exists(), "nothing is made")

    # What it writes for loopback addresses runs here as it is.
    out, port = top / "local", free_port_range(24)
    storage = ["--port", port, "--state-dir", top / "state", "--element-dir", top / "disks", "--reach", "partner"]
    made = pairfs("init", "--pair", "127.0.0.1,127.0.0.1", "--out", out, *storage)
    expect(made.returncode == 0, made.stderr)
    expect("a cluster of 1 pair and 2 routers to" in made.stdout, made.stdout)
    shutil.copytree(out / "map", top / "state" / "r1" / "map")

    def start(out, pair):
        for volume in (f"{pair}.0", f"{pair}.1"):
            for element in ("e0", "e1"):
                (top / "disks" / f"{volume}-{element}").mkdir(parents=True)
        for path in sorted(out.glob("*/*.toml"), reverse=True):
            check(path)
            log = open(top / f"{path.stem}.log", "w")
            children.append(subprocess.Popen([program_of(path), "--config", path], stdout=log, stderr=log))

    start(out, 1)
    router = f"127.0.0.1:{port}"
    wait_until(lambda: "takeover possible: yes" in pairfs("status", "--router", router).stdout,
               "the cluster is whole", timeout=60)
    mount.mkdir()
    expect(pairfs("mount", router, mount).returncode == 0, "mount")
    (mount / "file").write_text("hello")
    expect((mount / "file").read_text() == "hello", "it serves")
    expect(pairfs("sync", mount).returncode == 0, "sync finds the cluster of the mount")

    # One more pair, as it was made.
    added = pairfs("pair", "add", "--router", router, "--pair", "127.0.0.1,127.0.0.1", "--out", top / "second",
                   *storage)
    expect(added.returncode == 0 and "rebalance start" in added.stdout, f"{added}")
    start(top / "second", 2)
    wait_until(lambda: "takeover possible: yes" in pairfs("status", "--router", router).stdout,
               "the second pair is whole", timeout=60)
    again = pairfs("pair", "add", "--router", router, "--pair", "a,b", "--out", top / "second")
    expect(again.returncode == 2 and "not overwritten" in again.stderr, f"{again}")
    expect("pair 3" not in pairfs("status", "--router", router).stdout, "and nothing was registered")
except AssertionError:
    for log in sorted(top.glob("*.log")):
        print(f"---- {log}\n" + "\n".join(log.read_text().splitlines()[-15:]))
    raise
finally:
    if mount.exists():
        pairfs("umount", "--force", mount)
    for child in reversed(children):
        child.send_signal(signal.SIGTERM)
    for child in reversed(children):
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    shutil.rmtree(top, ignore_errors=True)
