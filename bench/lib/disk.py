"""A fresh journaled disk for each measured target: a filesystem in a loop file.

Without root there is no loop device; then a plain directory is used and the cold numbers are warm.
"""
import os
import shutil
import subprocess
import tempfile


def run(command, **options):
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        text = done.stdout.decode(errors="replace").strip()
        raise RuntimeError(f"{' '.join(command)} failed: {text}")


def drop_caches():
    """Forgets what the kernel has cached. False if that is not allowed."""
    if os.geteuid() != 0:
        return False
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3\n")
    return True


class Disk:
    """A context manager; `path` is the mounted directory, empty after each `fresh()`."""

    def __init__(self, where, kind, gib):
        self.kind = kind
        self.gib = gib
        self.top = tempfile.mkdtemp(prefix="pairfs-bench-", dir=where)
        os.chmod(self.top, 0o755)
        self.image = os.path.join(self.top, "disk.img")
        self.path = os.path.join(self.top, "disk")
        self.loop = os.geteuid() == 0 and kind != "none"
        self.mounted = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.release()
        shutil.rmtree(self.top, ignore_errors=True)

    def fresh(self):
        """An empty disk, whatever was on it before."""
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path)
        if not self.loop:
            return
        if os.path.exists(self.image):
            os.unlink(self.image)
        with open(self.image, "wb") as file:
            file.truncate(self.gib << 30)
        if self.kind == "ext4":
            run(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0",
                 self.image])
        else:
            run(["mkfs.xfs", "-q", "-f", self.image])
        run(["mount", "-o", "loop", self.image, self.path])
        self.mounted = True

    def release(self):
        if not self.mounted:
            return
        try:
            run(["umount", self.path])
        except RuntimeError:
            run(["umount", "-l", self.path])
        self.mounted = False
