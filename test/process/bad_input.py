#!/usr/bin/env python3
"""Bad input is answered with one clear sentence and exit code 2 (or 1 where something was tried),
and changes nothing."""
# time-limit: 300
import os
import pathlib
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import BUILD, PAIRFS, Cluster, expect, mounted, need_fuse, pairfs

need_fuse()


def listing(path):
    return sorted((str(p), p.lstat().st_mtime_ns) for p in path.rglob("*")) if path.exists() else None


def refuses(*words, saying, code=2, unchanged=(), **kwargs):
    """The command ends with `code`, says every part of `saying`, and leaves those paths alone."""
    before = [listing(path) for path in unchanged]
    result = pairfs(*words, **kwargs)
    said = result.stdout + result.stderr
    expect(result.returncode == code, f"{words} gave {result.returncode}: {said}")
    for part in saying:
        expect(part in said, f"{words} does not say \"{part}\": {said}")
    expect(len(result.stderr.strip().splitlines()) <= 2, f"{words} is not one sentence: {said}")
    expect([listing(path) for path in unchanged] == before, f"{words} changed something")


with Cluster() as cluster:
    top, var, mnt = cluster.top, cluster.dir, cluster.mount
    new = ["up", "--dir", var, "--mount", mnt]

    # Flags and words.
    refuses("fly", saying=["no command", "fly"])
    refuses("up", "--pears", 3, saying=["--pears"])
    refuses(*new, "--pairs", "many", saying=["--pairs"], unchanged=[top])
    refuses(*new, "--pairs", 0, saying=["--pairs", "1 to"], unchanged=[top])
    refuses(*new, "--elements", 1, saying=["--elements"], unchanged=[top])
    refuses(*new, "--raid", 4, saying=["RAID level 4", "0 (no redundancy)"], unchanged=[top])
    refuses(*new, "--raid", "five", saying=["--raid"], unchanged=[top])
    refuses(*new, "--raid", 5, "--elements", 2, saying=["3 to", "level 5"], unchanged=[top])
    refuses(*new, "--raid", 6, "--elements", 3, saying=["4 to", "level 6"], unchanged=[top])
    refuses(*new, "--raid", 10, "--elements", 5, saying=["even", "level 10"], unchanged=[top])
    refuses(*new, "--raid", 5, "--elements", 25, saying=["3 to 24"], unchanged=[top])
    refuses(*new, "--transport", "pigeon", saying=["--transport"], unchanged=[top])
    refuses("status", "--dir", var, saying=["no cluster in"], unchanged=[top])
    refuses("down", "--dir", var, saying=["no cluster in"], unchanged=[top])
    refuses("status", "--router", "nonsense://", saying=["not a router's endpoint"])
    refuses("status", "--router", f"ipc://{top}/nobody", saying=["routers answers"], code=1)
    refuses("umount", top, saying=["nothing is mounted"])
    refuses("umount", "/proc", saying=["not a pairfs mount"])
    refuses("sync", top, saying=["not on a pairfs mount"])

    # Directories that are something else.
    other = top / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("do not touch")
    refuses("up", "--dir", other, "--mount", mnt, saying=["not empty", str(other)], unchanged=[top])
    refuses("up", "--dir", other / "thesis.txt", "--mount", mnt, saying=[str(other)], unchanged=[top])
    future = top / "future"
    future.mkdir()
    (future / "cluster.toml").write_text("format_version = 99\nwhatever = true\n")
    refuses("up", "--dir", future, "--mount", mnt, saying=["another version", "99"], unchanged=[top])
    broken = top / "broken"
    broken.mkdir()
    (broken / "cluster.toml").write_text("format_version = \n")
    refuses("up", "--dir", broken, "--mount", mnt, saying=["cluster.toml:1"], unchanged=[top])
    if pathlib.Path("/sys/kernel").is_dir():
        refuses("up", "--dir", "/sys/kernel/pairfs-test", "--mount", mnt, saying=["/sys/kernel"],
                unchanged=[top])

    # Mount points.
    refuses("up", "--dir", var, "--mount", other, saying=["not an empty directory"], unchanged=[top])
    refuses("up", "--dir", var, "--mount", other / "thesis.txt", saying=["not a directory"],
            unchanged=[top])
    refuses("up", "--dir", var, "--mount", "/proc", saying=["already a mount point"], unchanged=[top])
    refuses("up", "--dir", var, "--mount", var / "mnt", saying=["contain each other"], unchanged=[top])

    # A router that is not there: within 5 s, or for as long as one waits.
    mnt.mkdir()
    started = time.monotonic()
    refuses("mount", f"ipc://{top}/nobody", mnt, saying=["no router answers"])
    expect(time.monotonic() - started < 8, "it says so within 5 s")
    refuses("mount", f"ipc://{top}/nobody", top / "absent", saying=["absent"])
    refuses("mount", f"ipc://{top}/nobody", mnt, "-o", "frobnicate", saying=["frobnicate"])
    waiting = subprocess.Popen([PAIRFS, "mount", f"ipc://{top}/nobody", mnt, "-f", "-o", "wait"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        waiting.wait(6)
        expect(False, "with -o wait it waits")
    except subprocess.TimeoutExpired:
        waiting.terminate()
        expect(waiting.wait(5) != 0, "and can be ended")
    mnt.rmdir()

    # Without /dev/fuse (in a mount namespace where something else lies over it).
    if os.geteuid() == 0:
        hidden = subprocess.run(
            ["unshare", "-m", "sh", "-c",
             'mount --bind "$0" /dev/fuse && exec "$@"', str(other / "thesis.txt"),
             str(PAIRFS), "up", "--dir", str(var), "--mount", str(mnt)],
            capture_output=True, text=True)
        if "unshare" not in hidden.stderr and "mount:" not in hidden.stderr:
            expect(hidden.returncode == 2 and "/dev/fuse" in hidden.stderr, hidden.stderr)
            expect(not var.exists() and not mnt.exists(), "nothing was made")

    # A cluster that exists.
    cluster.up("--transport", "tcp")
    refuses("up", "--dir", var, "--routers", 5, saying=["has 2 routers"])
    refuses("up", "--dir", var, "--elements", 3, saying=["has 4 elements"])
    refuses("up", "--dir", var, "--raid", 1, "--elements", 4, saying=["RAID level 5", "--raid 1"])
    refuses("up", "--dir", var, "--transport", "ipc", saying=["uses tcp"])
    refuses("up", "--dir", var, "--mount", top / "second", saying=["is mounted at"])
    # Nodes that cannot go where they are sent.
    moved = ["--out", top / "moved"]
    router = ["--router", cluster.status()[1]["routers"][0]["endpoint"], *moved]
    refuses("node", "move", "1a", "--host", "h", *moved, "--dir", var, saying=["on one machine"], unchanged=[top / "moved"])
    refuses("node", "move", "9z", "--host", "h", *router, saying=["no node \"9z\""], unchanged=[top / "moved"])
    refuses("node", "move", "1a", "--host", "a b", *router, saying=["--host a b"], unchanged=[top / "moved"])
    refuses("node", "move", "1a", "--host", "h", "--port", 0, *router, saying=["--port"], unchanged=[top / "moved"])
    refuses("node", "move", "1a", "--host", "h", *router, saying=["1a still answers"], unchanged=[top / "moved"])
    # Another cluster's mount point.
    refuses("up", "--dir", top / "var2", "--mount", mnt, saying=["already a mount point"])
    expect(not (top / "var2").exists(), "and no second cluster is left behind")
    endpoint = cluster.status()[1]["pairs"][0]["nodes"][0]["endpoint"]
    cluster.down()

    # A port that somebody else took meanwhile.
    port = int(endpoint.rsplit(":", 1)[1])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        refuses("up", "--dir", var, "--mount", mnt, saying=[f"port {port}", "in use"])
        expect(cluster.pid("r1") is None and not mounted(mnt), "nothing was started half")
    cluster.up()
    expect(not pairfs("down", "--dir", var).returncode, "it works when the port is free again")

    # Wrong TOML of a daemon: the file, the line and what was expected; nothing stays half started.
    config = var / "1a" / "node.toml"
    good = config.read_text()
    config.write_text(good + "[pair]\nlease = \"soon\"\n")
    line = len(good.splitlines()) + 2
    refuses("up", "--dir", var, "--mount", mnt, saying=[f"node.toml:{line}"])
    expect(cluster.pid("r1") is None and cluster.pid("1b") is None, "nothing was started half")
    config.write_text(good)
    cluster.up()
    cluster.down()

    # Each daemon refuses its own bad input in the same way.
    for program in ("router/pairfs-router", "node/pairfs-node", "fuse/pairfs-mount"):
        for words in (["--config", str(top / "absent.toml")], ["--frobnicate"]):
            result = subprocess.run([BUILD / program, *words], capture_output=True, text=True)
            expect(result.returncode == 2 and result.stderr.strip(), f"{program} {words}: {result}")
