#!/usr/bin/env python3
"""With -o async a mount answers writes of files that nobody else looks at before they are executed. Whatever it answered,
others see; nothing of it is lost with a node, nor with the mount once the file is closed or synced; and a
process that writes can be killed while the servers are away."""
# time-limit: 300
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, alive, expect, need_fuse, pairfs, wait_until

need_fuse()
BLOCK = 4096


def block(number):
    return number.to_bytes(8, "little") * (BLOCK // 8)


def written_behind(mount):
    return json.loads(os.getxattr(mount, "pairfs.stats"))["written_behind"]


def check(path, model):
    fd = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(fd).st_size
        expect(size == (max(model) + 1) * BLOCK, f"{size} bytes, {max(model) + 1} blocks were written")
        for at, number in model.items():
            seen = os.pread(fd, BLOCK, at * BLOCK)
            expect(seen == block(number), f"block {at}: {number} was written, {seen[:8].hex()} is seen")
    finally:
        os.close(fd)


def write_here_look_there(here, there):
    """Bursts of writes through one mount, and at once a look through the other, which then writes too."""
    draw = random.Random(1)
    model, number = {}, 0
    ends = [os.open(path, os.O_RDWR | os.O_CREAT) for path in (here / "shared", there / "shared")]
    for _ in range(60):
        doer = draw.randrange(2)
        # A file that was just asked back has no writer for 200 ms.
        until = time.monotonic() + draw.choice((0, 0.01, 0.4))
        while time.monotonic() < until or number == 0:
            number, at = number + 1, draw.randrange(64)
            os.pwrite(ends[doer], block(number), at * BLOCK)
            model[at] = number
        # The very last one, while it may still be on its way.
        seen = os.pread(ends[1 - doer], BLOCK, at * BLOCK)
        expect(seen == block(number), f"block {at}: {number} was just written, {seen[:8].hex()} is seen")
        what = draw.randrange(3)
        if what == 0:
            expect(os.stat((there, here)[doer] / "shared").st_size == (max(model) + 1) * BLOCK, "its size")
        else:
            check((there, here)[doer if what == 1 else 1 - doer] / "shared", model)
    for fd in ends:
        os.close(fd)
    check(here / "shared", model)


def while_nodes_die(cluster, there):
    model, stop, failed = {}, threading.Event(), []

    def work():
        try:
            draw = random.Random(2)
            fd = os.open(cluster.mount / "busy", os.O_RDWR | os.O_CREAT)
            number = 0
            while not stop.is_set():
                number, at = number + 1, draw.randrange(500)
                os.pwrite(fd, block(number), at * BLOCK)
                model[at] = number
            os.fsync(fd)
            os.close(fd)
        except OSError as error:
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    for node in ("1a", "1b", "2a", "2b"):
        time.sleep(0.3)
        cluster.kill(node)
        wait_until(cluster.healthy, f"{node} is back and in step", timeout=60)
    stop.set()
    worker.join(60)
    expect(not worker.is_alive() and not failed, f"no error is seen: {failed}")
    check(there / "busy", model)


def while_the_mount_dies(cluster, there):
    """What was closed or synced is there; of the rest, some may be missing, and nothing is wrong."""
    closed = cluster.mount / "closed"
    with open(closed, "wb", buffering=0) as file:
        for i in range(300):
            file.write(block(i))
    synced = os.open(cluster.mount / "synced", os.O_RDWR | os.O_CREAT)
    for i in range(300):
        os.pwrite(synced, block(i), i * BLOCK)
    os.fsync(synced)
    for i in range(300, 600):
        os.pwrite(synced, block(i), i * BLOCK)
    cluster.kill("mount")
    try:
        os.close(synced)
    except OSError:
        pass
    check(there / "closed", {i: i for i in range(300)})
    # The dead mount was its writer: until its leases have run out.
    seen = (there / "synced").read_bytes()
    expect(len(seen) >= 300 * BLOCK and seen == b"".join(block(i) for i in range(len(seen) // BLOCK)),
           f"{len(seen)} bytes are there, the first 300 blocks were synced")


def killed_while_the_servers_are_frozen(cluster):
    # The writer is the other end of a pipe, so that it is known to have begun.
    program = ("import os,sys\n"
               "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
               "for i in range(1 << 30):\n"
               "  os.pwrite(fd, b'x' * 4096, i * 4096)\n"
               "  if i == 100: print('begun', flush=True)\n")
    writer = subprocess.Popen([sys.executable, "-c", program, str(cluster.mount / "endless")],
                              stdout=subprocess.PIPE)
    expect(writer.stdout.readline() == b"begun\n", "it writes")
    nodes = [cluster.pid(name) for name in ("1a", "1b", "2a", "2b")]
    for pid in nodes:
        os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(0.5)  # it is far behind by now
        writer.kill()
        writer.wait(timeout=5)
    finally:
        for pid in nodes:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: not alive(writer.pid), "it is gone")


with Cluster(pairs=2) as cluster:
    cluster.up("-o", "async")
    other = cluster.top / "other"
    other.mkdir()
    cluster.others.append(other)
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"])
    result = pairfs("mount", routers, other, "-o", "async")
    expect(result.returncode == 0, f"mount: {result.stdout}{result.stderr}")
    write_here_look_there(cluster.mount, other)
    for mount in (cluster.mount, other):
        expect(written_behind(mount) > 50, f"writes of {mount} were answered before they were executed")
    before = written_behind(cluster.mount)
    while_nodes_die(cluster, other)
    expect(written_behind(cluster.mount) > before + 50, "writes were answered while nodes died")
    while_the_mount_dies(cluster, other)
    wait_until(lambda: cluster.pid("mount") and os.path.ismount(cluster.mount), "it is mounted again")
    wait_until(cluster.healthy, "all is well")
    killed_while_the_servers_are_frozen(cluster)
    wait_until(cluster.healthy, "all goes on", timeout=60)
    cluster.down()
