#!/usr/bin/env python3
"""The filesystem on a desktop: mount(8) and fstab, a subtree, an ordinary user, an embedded router,
servers that are gone, a mount process that was killed, and routers that come and go."""
# time-limit: 280
import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import Cluster, expect, is_dead, mounted, need_fuse, pairfs, wait_until
from desktop import enter_namespace, install, mount_pid, open_fuse_to_all, own_sbin, run, write_fstab

need_fuse()
enter_namespace()


def point(cluster, name):
    path = cluster.top / name
    path.mkdir(exist_ok=True)
    if path not in cluster.others:
        cluster.others.append(path)
    return path


def error_of(function):
    """(errno or 0, seconds)."""
    begin = time.monotonic()
    try:
        function()
        return 0, time.monotonic() - begin
    except OSError as error:
        return error.errno, time.monotonic() - begin


def in_child(function):
    pid = os.fork()
    if pid == 0:
        try:
            function()
        finally:
            os._exit(0)
    return pid


def mount_and_fstab(cluster, routers):
    (cluster.mount / "projects" / "a,b").mkdir(parents=True)
    (cluster.mount / "projects" / "a,b" / "inside").write_text("inside")
    (cluster.mount / "file").write_text("outside")
    path = point(cluster, "by mount")
    told = run("mount", "-t", "fuse.pairfs", routers, path)
    expect((told.stdout, told.stderr) == ("", ""), f"a mount that went well is silent: {told}")
    expect((path / "file").read_text() == "outside", "mount -t fuse.pairfs")
    run("umount", path)
    expect(not mounted(path), "umount")

    whole, part, quiet = point(cluster, "whole"), point(cluster, "part"), point(cluster, "quiet")
    write_fstab(cluster.top,
                f"{routers} {whole} fuse.pairfs _netdev,nofail,x-systemd.automount,noatime,"
                "x-systemd.requires=network-online.target,retry=60,allow_other,defaults 0 0",
                f"{routers}:/projects/a,b {part} fuse.pairfs ro,_netdev,nosuid,nodev,wait 0 0",
                f"127.0.0.1:1 {quiet} fuse.pairfs noauto,user,_netdev 0 0")
    run("mount", "-a")
    expect((whole / "file").read_text() == "outside", "mount -a")
    expect(os.listdir(part) == ["inside"], "a subtree's root is the directory")
    expect((part / "inside").read_text() == "inside", "and what is in it can be read")
    expect(os.stat(part).st_ino == os.stat(whole / "projects" / "a,b").st_ino, "it is that inode")
    expect(error_of(lambda: (part / "new").write_text("x"))[0] == errno.EROFS, "ro")
    expect(os.path.isdir(part / ".."), ".. leads out of the mount")
    os.statvfs(part)
    run("mount", "-a")
    table = run("findmnt", "-rn", "-t", "fuse.pairfs").stdout
    expect(table.count("whole") == 1 and table.count("part") == 1, f"mount -a mounts once: {table}")
    expect("nosuid,nodev" in [line for line in table.splitlines() if "part" in line][0], table)
    refused = run("mount", quiet, expected=None)
    expect(refused.returncode != 0 and "no router answers" in refused.stderr, refused.stderr)
    expect(run("pairfs-mount", routers + ":/nowhere", quiet, expected=2).stderr.count("/nowhere"),
           "a subtree that is not there is named")
    expect(run("pairfs-mount", routers + ":/file", quiet, expected=2).stderr.count("Not a directory"),
           "a subtree is a directory")
    expect(pairfs("sync", whole).returncode == 0, "sync finds the cluster from what fstab says")
    os.rename(cluster.mount / "projects", cluster.mount / "moved")
    expect((part / "inside").read_text() == "inside", "a subtree stays mounted when it is renamed")
    for path in (whole, part):
        run("umount", path)


def ordinary_user(cluster, routers):
    open_fuse_to_all(cluster.top)
    home = point(cluster, "home of nobody")
    nobody = pathlib.Path("/etc/passwd").read_text().split("\nnobody:")[1].split(":")
    os.chown(home, int(nobody[1]), int(nobody[2]))
    (cluster.mount / "shared").mkdir()
    (cluster.mount / "shared").chmod(0o777)
    as_nobody = ["setpriv", "--reuid", nobody[1], "--regid", nobody[2], "--clear-groups"]
    run(*as_nobody, "pairfs-mount", routers, home)
    run(*as_nobody, "sh", "-c", f"echo mine > '{home}/shared/file'")
    expect((cluster.mount / "shared" / "file").stat().st_uid == int(nobody[1]), "it is nobody's file")
    expect(run("cat", home / "shared" / "file", expected=None).returncode != 0,
           "without allow_other even root stays outside")
    run(*as_nobody, "fusermount3", "-u", home)
    expect(not mounted(home), "fusermount3 -u")
    run(*as_nobody, "pairfs", "mount", "--router=embedded", routers, home)
    expect(run(*as_nobody, "cat", home / "shared" / "file").stdout == "mine\n", "embedded router")
    run(*as_nobody, "pairfs", "umount", "--force", home)
    expect(not mounted(home), "umount --force as a user")


def cluster_of_an_ordinary_user(cluster, routers):
    open_fuse_to_all(cluster.top)
    home = point(cluster, "home of a cluster")
    nobody = pathlib.Path("/etc/passwd").read_text().split("\nnobody:")[1].split(":")
    os.chown(home, int(nobody[1]), int(nobody[2]))
    as_nobody = ["setpriv", "--reuid", nobody[1], "--regid", nobody[2], "--clear-groups"]
    where = ["--dir", home / "var"]
    run(*as_nobody, "pairfs", "up", *where, "--mount", home / "mnt", "--pairs", "1")
    try:
        run(*as_nobody, "sh", "-c", f"echo mine > '{home}/mnt/file'")
        expect(run(*as_nobody, "cat", home / "mnt" / "file").stdout == "mine\n", "the root is theirs")
    finally:
        run(*as_nobody, "pairfs", "down", *where)


def routers_come_and_go(cluster, routers):
    # Told only one router, the mount learns of the other one.
    path, embedded = point(cluster, "learns"), point(cluster, "embedded")
    run("pairfs", "mount", routers.split(",")[0], path)
    run("pairfs", "mount", "-o", "router=embedded", routers, embedded)
    for i in range(6):
        for top in (path, embedded):
            (top / f"r{i}").write_text(str(i))
        cluster.kill("r1" if i % 2 == 0 else "r2")
        for top in (path, embedded):
            expect((top / f"r{i}").read_text() == str(i), "no error while a router is gone")
        wait_until(lambda: cluster.pid("r1") and cluster.pid("r2"), "the routers are back")
    wait_until(cluster.healthy, "the cluster is healthy")
    for top in (path, embedded):
        run("umount", top)


def dead_mount_is_repaired(cluster, routers):
    path = point(cluster, "repaired")
    run("pairfs", "mount", routers, path)
    held = os.open(path / "held", os.O_WRONLY | os.O_CREAT)
    os.kill(mount_pid(path), signal.SIGKILL)
    wait_until(lambda: is_dead(path), "the mount is dead")
    run("pairfs", "mount", routers, path)
    expect((path / "file").read_text() == "outside", "pairfs mount repairs it, also while it is in use")
    expect(error_of(lambda: os.close(held))[0] in (0, errno.ENOTCONN), "what was open is lost")
    os.kill(mount_pid(path), signal.SIGKILL)
    wait_until(lambda: is_dead(path), "the mount is dead again")
    run("mount", "-t", "fuse.pairfs", routers, path)
    expect((path / "file").read_text() == "outside", "and so does mount")
    run("umount", path)


def servers_are_gone(cluster, routers):
    patient, limited = point(cluster, "patient"), point(cluster, "limited")
    stuck = point(cluster, "stuck")
    for path, options in ((patient, "retry=forever,nocache"), (limited, "retry=2,nocache"), (stuck, "wait")):
        run("pairfs", "mount", routers, path, "-o", options)
        os.listdir(path)
    held = open(limited / "held", "w")
    fcntl.lockf(held, fcntl.LOCK_EX)
    waiter = in_child(lambda: os._exit(
        error_of(lambda: fcntl.lockf(open(limited / "held", "r+"), fcntl.LOCK_EX))[0]))
    time.sleep(0.5)  # until it waits, mostly; the outcome is the same when it does not yet
    cluster.kill("supervisor")
    for name in cluster.names():
        if name != "mount":
            cluster.kill(name)

    # Under retry=SECONDS everything ends with EIO; all are asked at once, as each takes its time.
    operations = {
        "stat": lambda: os.stat(limited / "never seen"), "list": lambda: os.listdir(limited),
        "write": lambda: os.write(held.fileno(), b"x"), "sync": lambda: os.fsync(held.fileno()),
        "make": lambda: os.mkdir(limited / "directory"), "space": lambda: os.statvfs(limited),
    }
    children = {name: in_child(lambda f=function: os._exit(error_of(f)[0]))
                for name, function in operations.items()}
    # Under retry=forever a waiting process dies when it is killed, and statfs gives EIO after 10 s.
    doomed = in_child(lambda: os.stat(patient / "never seen"))
    space = in_child(lambda: os._exit(error_of(lambda: os.statvfs(patient))[0]))
    waits = subprocess.Popen(["cat", patient / "file"], stdout=subprocess.DEVNULL)
    aborted = in_child(lambda: os._exit(error_of(lambda: os.mkdir(stuck / "new"))[0]))
    time.sleep(0.3)
    os.kill(doomed, signal.SIGKILL)
    begin = time.monotonic()
    os.waitpid(doomed, 0)
    expect(time.monotonic() - begin < 2, "a killed process dies at once")
    run("pairfs", "umount", "--force", stuck, timeout=20)
    code = os.waitstatus_to_exitcode(os.waitpid(aborted, 0)[1])
    expect(code in (errno.ECONNABORTED, errno.ENOTCONN), f"umount --force ends what waits: {code}")
    for name, pid in children.items():
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        expect(code == errno.EIO, f"{name} ends with EIO: {code}")
    code = os.waitstatus_to_exitcode(os.waitpid(waiter, 0)[1])
    expect(code == errno.EIO, f"a lock that waited ends with EIO: {code}")
    code = os.waitstatus_to_exitcode(os.waitpid(space, 0)[1])
    expect(code == errno.EIO, f"statfs ends with EIO under retry=forever: {code}")
    held.close()
    run("umount", limited, timeout=20)
    expect(waits.poll() is None, "everything else waits")
    cluster.up()
    expect(waits.wait(60) == 0, "what waited goes on when the servers return")
    expect((patient / "file").read_text() == "outside", "and so does everything else")
    run("umount", patient)


with Cluster() as cluster:
    own_sbin()
    os.environ["PATH"] = f"{install(cluster.top)}:{os.environ['PATH']}"
    cluster.up("--transport", "tcp")
    routers = ",".join(r["endpoint"] for r in cluster.status()[1]["routers"]).replace("tcp://", "")
    for test in (mount_and_fstab, ordinary_user, cluster_of_an_ordinary_user, routers_come_and_go,
                 dead_mount_is_repaired, servers_are_gone):
        print(test.__name__, flush=True)
        test(cluster, routers)
    cluster.down()
