#!/usr/bin/env python3
"""The chapters of docs/operating.md on real machines: five hosts, each with a network of its own, come from
bare to a mounted cluster; each is rebooted, with and without warning; a node is replaced; under load."""
# time-limit: 420
# only-with: --all
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "process" / "lib"))
from cluster import BUILD, alive, expect, need_fuse, skip, wait_until
from desktop import enter_namespace, install, own_sbin, run

UNITS = pathlib.Path(__file__).resolve().parent.parent.parent / "deploy" / "systemd"


class Host:
    """A machine: a network namespace with one address, and what systemd would run on it."""

    def __init__(self, top, number):
        self.address = f"10.77.0.{number}"
        self.etc = top / "etc" / self.address
        self.etc.mkdir(parents=True)
        self.top = top
        self.daemons = {}  # name: process
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        self.link = f"veth{number}"
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != os.readlink("/proc/self/ns/net"),
                   "the host's network is there")
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "eth0", "netns", self.holder.pid)
        run("ip", "link", "set", self.link, "master", "switch", "up")
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "link", "set", "lo", "up")

    def inside(self, *words):
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", *map(str, words)]

    def run(self, *words, **kwargs):
        return run(*self.inside(*words), **kwargs)

    def systemctl_start(self, name):
        """Runs the command line of the unit for this daemon, with this test's places in it."""
        unit = UNITS / f"pairfs-{'router' if name[0] == 'r' else 'node'}@.service"
        for key in ("ExecStartPre", "ExecStart"):
            line = re.search(rf"^{key}=(.*)$", unit.read_text(), re.MULTILINE).group(1)
            words = shlex.split(line.replace("%i", name).replace("/etc/pairfs", str(self.etc))
                                .replace("/usr/bin", str(self.top / "installed" / "bin")))
            if key == "ExecStartPre":
                self.run(*words)
                continue
            log = open(self.top / f"{name}.log", "a")
            self.daemons[name] = subprocess.Popen(self.inside(*words), stdout=log, stderr=log)

    def start(self):
        run("ip", "link", "set", self.link, "up")
        for path in sorted(self.etc.glob("*.toml"), reverse=True):
            self.systemctl_start(path.stem)

    def power_off(self):
        """As a machine goes that loses its power: the network first, so that nobody is told."""
        run("ip", "link", "set", self.link, "down")
        self.stop(signal.SIGKILL)

    def stop(self, how=signal.SIGTERM):
        for process in self.daemons.values():
            process.send_signal(how)
        for process in self.daemons.values():
            process.wait(60)
        self.daemons = {}


class Load:
    """A program on the client that writes and reads, and notes what goes wrong and how long it waited."""

    def __init__(self, directory):
        self.directory = directory
        self.problems, self.longest_s, self.rounds, self.ended = [], 0.0, 0, False
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        while not self.ended:
            begin = time.monotonic()
            path = self.directory / f"file {self.rounds % 50}"
            try:
                path.write_text(f"round {self.rounds}")
                if path.read_text() != f"round {self.rounds}":
                    self.problems.append(f"{path} is not what was written in round {self.rounds}")
            except OSError as error:
                self.problems.append(f"round {self.rounds}: {error}")
            self.longest_s = max(self.longest_s, time.monotonic() - begin)
            self.rounds += 1

    def check(self, what):
        """That it still gets on, without a problem so far."""
        seen = self.rounds
        wait_until(lambda: self.rounds > seen + 10 or self.problems, f"the client goes on: {what}", timeout=60)
        expect(not self.problems, f"{what}: {self.problems[:3]}")
        print(f"   {what}: the client waited for {self.longest_s * 1000:.0f} ms at most", flush=True)
        self.longest_s = 0.0


def main():
    need_fuse()
    if shutil.which("ip") is None:
        skip("iproute2 is not here")
    enter_namespace("-n")
    top = pathlib.Path(tempfile.mkdtemp(prefix="pairfs-machines-"))
    top.chmod(0o755)
    mount = top / "mnt"
    hosts = {}
    load = None
    try:
        own_sbin()
        os.environ["PATH"] = f"{install(top)}:{os.environ['PATH']}"
        run("ip", "link", "add", "switch", "type", "bridge")
        run("ip", "link", "set", "switch", "up")
        for name, number in (("node1", 1), ("node2", 2), ("router1", 3), ("router2", 4), ("client", 5)):
            hosts[name] = Host(top, number)
        node1, node2, router1, router2, client = hosts.values()
        routers = f"{router1.address}:7400,{router2.address}:7400"

        def whole():
            return "takeover possible: yes" in client.run("pairfs", "status", "--router", routers,
                                                          expected=None).stdout

        print("-- from bare machines to a mounted cluster", flush=True)
        out = top / "cluster"
        client.run("pairfs", "init", "--pair", f"{node1.address},{node2.address}", "--router",
                   router1.address, "--router", router2.address, "--out", out,
                   "--state-dir", top / "state", "--element-dir", top / "disks")
        for host in hosts.values():
            for path in (out / host.address).glob("*.toml"):
                shutil.copy(path, host.etc)
        shutil.copytree(out / "map", top / "state" / "r1" / "map")
        for volume in ("1.0", "1.1"):
            for element in ("e0", "e1"):
                (top / "disks" / f"{volume}-{element}").mkdir(parents=True, mode=0o700)
        for host in hosts.values():
            host.start()
        wait_until(whole, "the cluster is whole", timeout=90)
        mount.mkdir()
        client.run("mount", "-t", "fuse.pairfs", routers, mount, "-o", "noatime")
        (mount / "load").mkdir()
        load = Load(mount / "load")
        load.check("mounted")

        print("-- reboots", flush=True)
        client.run("pairfs", "takeover", "1a", "--router", routers, timeout=90)
        node1.stop()
        load.check("node 1a is stopped after a planned takeover")
        node1.start()
        wait_until(whole, "1a is paired again", timeout=120)
        for host, what in ((node2, "the machine of node 1b"), (router1, "the machine of the map"),
                           (router2, "the machine of the other router"), (node1, "the machine of node 1a")):
            host.power_off()
            load.check(f"{what} has lost its power")
            host.start()
            wait_until(whole, f"{what} is back", timeout=120)

        print("-- a node's replacement", flush=True)
        node1.power_off()
        shutil.rmtree(top / "state" / "1a")
        load.check("node 1a is lost with all that was in it")
        node1.start()
        wait_until(whole, "an empty node 1a has become a partner again", timeout=180)
        node2.power_off()
        load.check("what the new one holds is enough to take over")
        node2.start()
        wait_until(whole, "all is whole", timeout=120)
        load.ended = True
        load.thread.join(30)
        print(f"{load.rounds} rounds without a problem", flush=True)
    except BaseException:
        for log in sorted(top.glob("*.log")):
            print(f"---- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:]))
        raise
    finally:
        if load is not None:
            load.ended = True
        if mount.exists():
            subprocess.run(["pairfs", "umount", "--force", mount], capture_output=True, timeout=60)
        for host in hosts.values():
            host.stop(signal.SIGKILL)
            host.holder.kill()
            host.holder.wait()
        shutil.rmtree(top, ignore_errors=True)


main()
