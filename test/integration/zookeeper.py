#!/usr/bin/env python3
"""A cluster moves its map to a real ZooKeeper server, takes over through it, serves on while it is down
and says so, and goes back to the embedded map."""
# time-limit: 400
# only-with: --all
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process" / "lib"))
from cluster import Cluster, expect, need_fuse, pairfs, skip, wait_until

JAR = pathlib.Path("/usr/share/java/zookeeper.jar")
need_fuse()
if shutil.which("java") is None or not JAR.exists():
    skip("needs Debian's package zookeeper")


class Server:
    def __init__(self, directory):
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = one.getsockname()[1]
        self.directory = directory
        directory.mkdir()
        (directory / "zoo.cfg").write_text(
            f"dataDir={directory}/data\nclientPort={self.port}\nclientPortAddress=127.0.0.1\ntickTime=500\n"
            "admin.enableServer=false\n4lw.commands.whitelist=ruok\n")
        self.process = None

    def start(self):
        log = open(self.directory / "log", "a")
        self.process = subprocess.Popen(
            ["java", "-Xmx96m", "-cp", JAR, "org.apache.zookeeper.server.quorum.QuorumPeerMain",
             self.directory / "zoo.cfg"], stdout=log, stderr=log)
        wait_until(self.answers, "the ZooKeeper server answers", timeout=60)

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as peer:
                peer.sendall(b"ruok")
                return peer.recv(4) == b"imok"
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.process = None


def set_map(cluster, endpoint):
    for path in cluster.dir.glob("*/*.toml"):
        if path.name not in ("router.toml", "node.toml"):
            continue
        text = path.read_text()
        (path.parent / "embedded").write_text(text)
        path.write_text(re.sub(r"\[map\]\n(?:\w.*\n)+", f'[map]\nendpoints = ["{endpoint}"]\n', text))


def executor(cluster):
    return cluster.volumes()["1.0"]["executor"]


with Cluster() as cluster:
    server = Server(cluster.top / "zookeeper")
    try:
        server.start()
        endpoint = f"zookeeper://127.0.0.1:{server.port}/pairfs/test"
        cluster.up()
        (cluster.mount / "before").write_text("embedded")
        version = cluster.status()[1]["map_version"]
        cluster.down()

        embedded = cluster.dir / "r1" / "map"
        copied = pairfs("map", "copy", embedded, endpoint)
        expect(copied.returncode == 0, copied.stderr)
        twice = pairfs("map", "copy", embedded, endpoint)
        expect(twice.returncode == 2 and "holds a map already" in twice.stderr, f"{twice}")
        set_map(cluster, endpoint)
        cluster.up()
        expect((cluster.mount / "before").read_text() == "embedded", "the cluster serves with ZooKeeper")
        expect(cluster.status()[1]["map_version"] > version, "its map is newer than the embedded one was")

        # A takeover through ZooKeeper.
        home = executor(cluster)
        expect(pairfs("takeover", home, "--dir", cluster.dir).returncode == 0, "takeover")
        expect(executor(cluster) != home, "the partner executes")
        expect(pairfs("giveback", home, "--dir", cluster.dir).returncode == 0, "giveback")
        cluster.kill(home)
        (cluster.mount / "killed").write_text("taken over")
        wait_until(cluster.healthy, "the killed node is back", timeout=90)

        # Without ZooKeeper. A giveback that is under way when the map goes waits for it, so none may be.
        wait_until(lambda: executor(cluster) == home and cluster.healthy(), "it has its volume back",
                   timeout=90)
        server.stop()
        for i in range(50):
            (cluster.mount / f"without {i}").write_text(str(i))
            expect((cluster.mount / f"without {i}").read_text() == str(i), "healthy pairs serve on")
        wait_until(lambda: not cluster.status()[1]["takeover_possible"], "status notices")
        code, status = cluster.status()
        expect(code == 1 and "map" in status["takeover_obstacle"], f"and says why: {status}")
        expect((cluster.mount / "without 3").read_text() == "3", "still")
        server.start()
        wait_until(cluster.healthy, "all is well when it is back", timeout=60)
        cluster.kill(executor(cluster))
        (cluster.mount / "again").write_text("taken over")
        wait_until(cluster.healthy, "and takeovers work", timeout=90)

        # And back.
        cluster.down()
        shutil.rmtree(embedded)
        copied = pairfs("map", "copy", endpoint, embedded)
        expect(copied.returncode == 0, copied.stderr)
        for saved in cluster.dir.glob("*/embedded"):
            name = "router.toml" if saved.parent.name[0] == "r" else "node.toml"
            saved.rename(saved.parent / name)
        server.stop()
        cluster.up()
        expect((cluster.mount / "again").read_text() == "taken over", "the embedded map has it all")
        cluster.down()
    finally:
        server.stop()
