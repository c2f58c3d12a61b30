"""What the tests of mounts on a desktop share: a mount namespace of one's own with an installed
mount helper, an fstab, and a /dev/fuse that everyone may use."""
import atexit
import os
import pathlib
import shutil
import stat
import subprocess
import sys
import tempfile

from cluster import BUILD, expect, skip


def enter_namespace(*more):
    """Starts the script again in a mount namespace of its own, and those that `more` names, as of
    unshare(1). Ends it as skipped without root."""
    if os.environ.get("PAIRFS_TEST_NAMESPACE"):
        return
    if os.geteuid() != 0:
        skip("needs root, for a mount namespace")
    if subprocess.run(["unshare", "-m", *more, "true"], stderr=subprocess.DEVNULL).returncode != 0:
        skip("namespaces cannot be made here")
    os.environ["PAIRFS_TEST_NAMESPACE"] = "1"
    os.execvp("unshare", ["unshare", "-m", *more, sys.executable, *sys.argv])


def run(*words, expected=0, **kwargs):
    """Gives the CompletedProcess; `expected` None: any exit code."""
    result = subprocess.run([str(w) for w in words], stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=kwargs.pop("timeout", 60), **kwargs)
    expect(expected is None or result.returncode == expected,
           f"{words} gave {result.returncode}: {result.stdout}{result.stderr}")
    return result


def own_sbin():
    """Lays a copy of links over /sbin, so that installing there is seen in this namespace only."""
    # Read-only, and not below a directory that a test removes when it ends.
    sbin, original = pathlib.Path("/sbin").resolve(), pathlib.Path(tempfile.mkdtemp(prefix="sbin-"))
    atexit.register(lambda: subprocess.run(["umount", "-l", original]) and os.rmdir(original))
    run("mount", "--bind", sbin, original)
    run("mount", "-o", "remount,ro,bind", original)
    names = os.listdir(original)
    run("mount", "-t", "tmpfs", "none", sbin)
    for name in names:
        os.symlink(original / name, sbin / name)


def install(top):
    """Installs into a prefix of the test's own; gives the directory of the programs."""
    cmake = shutil.which("cmake")
    if cmake is None:
        skip("cmake is not here")
    run(cmake, "--install", BUILD, "--prefix", top / "installed", timeout=120)
    return top / "installed" / "bin"


def open_fuse_to_all(top):
    device = top / "fuse-device"
    if device.exists():
        return
    os.mknod(device, stat.S_IFCHR | 0o666, os.stat("/dev/fuse").st_rdev)
    device.chmod(0o666)
    run("mount", "--bind", device, "/dev/fuse")


def write_fstab(top, *lines):
    fstab = top / "fstab"
    known = fstab.exists()
    fstab.write_text("\n".join(lines) + "\n")
    if not known:
        run("mount", "--bind", fstab, "/etc/fstab")


def mount_pid(path):
    """The pairfs-mount behind a mount point."""
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        name = os.path.basename(words[0])
        if name in (b"pairfs-mount", b"mount.fuse.pairfs") and str(path).encode() in words:
            return int(process.name)
    return None
