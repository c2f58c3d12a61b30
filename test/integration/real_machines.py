#!/usr/bin/env python3
"""The chapters of docs/operating.md on real machines: eight hosts, each with a network of its own, come from
bare to a mounted cluster; each is rebooted, with and without warning; a node and a disk are replaced, and a
pair is added; under load. With the argument "partner" no two hosts share a disk."""
# time-limit: 600
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
    reach = "partner" if "partner" in sys.argv[1:] else "dir"
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
        for number, name in enumerate(("node1", "node2", "router1", "router2", "client", "node3", "node4",
                                         "spare")):
            hosts[name] = Host(top, number + 1)
        node1, node2, router1, router2, client, node3, node4, spare = hosts.values()
        routers = f"{router1.address}:7400,{router2.address}:7400"

        def whole():
            return "takeover possible: yes" in client.run("pairfs", "status", "--router", routers,
                                                          expected=None).stdout

        print("-- from bare machines to a mounted cluster", flush=True)
        def give_files(out):
            for host in hosts.values():
                for path in (out / host.address).glob("*.toml"):
                    shutil.copy(path, host.etc)

        def make_elements(pair):
            for name in (f"{pair}.{half}-e{element}" for half in (0, 1) for element in (0, 1)):
                (top / "disks" / name).mkdir(parents=True, mode=0o700)

        storage = ["--state-dir", top / "state", "--element-dir", top / "disks", "--reach", reach]
        out = top / "cluster"
        client.run("pairfs", "init", "--pair", f"{node1.address},{node2.address}", "--router",
                   router1.address, "--router", router2.address, "--out", out, *storage)
        give_files(out)
        shutil.copytree(out / "map", top / "state" / "r1" / "map")
        make_elements(1)
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

        print("-- a node's replacement by a machine with another address", flush=True)
        moving = ["pairfs", "node", "move", "1a", "--host", spare.address, "--router", routers, "--state-dir",
                  top / "state", "--out", top / "moved"]
        refused = client.run(*moving, expected=2)
        expect("still answers" in refused.stderr and not (top / "moved").exists(), f"one that is up stays: {refused}")
        node1.power_off()
        shutil.rmtree(top / "state" / "1a")
        load.check("node 1a is lost")
        told = client.run(*moving).stdout
        shutil.copy(top / "moved" / spare.address / "1a.toml", spare.etc)
        own = re.findall(r"pairfs element replace (\S+) --wait", told)
        expect(own == (["1.0-e0", "1.1-e0"] if reach == "partner" else []), f"what is to be filled: {told}")
        for element in own:
            shutil.rmtree(top / "disks" / element)
            (top / "disks" / element).mkdir(mode=0o700)
        spare.start()
        for element in own:
            wait_until(lambda: client.run("pairfs", "element", "replace", element, "--wait", "--router", routers,
                                          expected=None, timeout=120).returncode == 0,
                       f"{element} is filled", timeout=120)
        wait_until(whole, "1a has become a partner again, at its new address", timeout=180)
        node2.power_off()
        load.check("what it holds is enough to take over")
        node2.start()
        wait_until(whole, "all is whole", timeout=120)
        again = client.run(*moving[:-1], top / "again", expected=2)
        expect("is at" in again.stderr, f"it is there already: {again}")

        print("-- a disk's replacement", flush=True)
        shutil.rmtree(top / "disks" / "1.0-e0")
        wait_until(lambda: "missing" in client.run("pairfs", "element", "list", "--router", routers,
                                                   expected=None).stdout, "the lost disk is missed", timeout=60)
        load.check("a disk is lost")
        (top / "disks" / "new").mkdir(mode=0o700)
        client.run("pairfs", "element", "replace", "1.0-e0", top / "disks" / "new", "--wait", "--router", routers,
                   timeout=120)
        wait_until(whole, "the group is whole again", timeout=60)
        listed = client.run("pairfs", "element", "list", "--router", routers).stdout
        expect(str(top / "disks" / "new") in listed, f"the new disk is in its place: {listed}")
        load.check("the disk is replaced")

        print("-- adding a pair", flush=True)
        third = top / "third"
        client.run("pairfs", "pair", "add", "--router", routers, "--pair", f"{node3.address},{node4.address}",
                   "--out", third, *storage)
        give_files(third)
        make_elements(2)
        node3.start()
        node4.start()
        wait_until(whole, "the new pair is whole", timeout=90)
        load.check("a pair is added")
        client.run("pairfs", "rebalance", "start", "--wait", "--router", routers, timeout=240)
        load.check("it has its share of the data")
        for host in (node3, node4):
            host.power_off()
            load.check(f"the machine {host.address} of the new pair has lost its power")
            host.start()
            wait_until(whole, f"{host.address} is back", timeout=120)
        client.run("pairfs", "fsck", "--namespace", "--router", routers, timeout=120)
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
