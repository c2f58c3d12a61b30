"""What is measured: a plain directory, a libfuse passthrough of it, pairfs, or anything else.

A target is a context manager that gives the directory to work in. The libfuse passthrough is
compiled from the examples of libfuse3-dev, so what it measures is known.
"""
import os
import shlex
import subprocess
import tempfile

EXAMPLES = "/usr/share/doc/libfuse3-dev/examples"


def is_mounted(path):
    return os.path.ismount(path)


class Plain:
    name = "plain"

    def __init__(self, disk):
        self.disk = disk

    def __enter__(self):
        path = os.path.join(self.disk.path, "work")
        os.mkdir(path)
        return path

    def __exit__(self, *_):
        pass


class Passthrough:
    """passthrough_ll of a directory on the disk, with cache=never or cache=auto."""

    def __init__(self, disk, cache, program):
        self.name = f"fuse {cache}"
        self.disk = disk
        self.cache = cache
        self.program = program
        self.mount = os.path.join(disk.top, f"passthrough-{cache}")

    def __enter__(self):
        source = os.path.join(self.disk.path, "source")
        os.mkdir(source)
        os.makedirs(self.mount, exist_ok=True)
        subprocess.run([self.program, "-o", f"source={source},cache={self.cache}", self.mount],
                       check=True)
        return self.mount

    def __exit__(self, *_):
        unmount(self.mount)


def unmount(path):
    for command in (["fusermount3", "-u", path], ["umount", path], ["fusermount3", "-uz", path]):
        if not is_mounted(path):
            return
        subprocess.run(command, stderr=subprocess.DEVNULL)


def build_passthrough(top):
    """The path of passthrough_ll, or None with the reason printed."""
    source = os.path.join(EXAMPLES, "passthrough_ll.c")
    if not os.path.exists(source) or not os.path.exists("/dev/fuse"):
        print(f"without the libfuse passthrough: {source} or /dev/fuse is missing")
        return None
    program = os.path.join(top, "passthrough_ll")
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], stdout=subprocess.PIPE,
                           text=True).stdout.split()
    command = ["cc", "-O2", "-D_FILE_OFFSET_BITS=64", "-I", EXAMPLES, source, "-o", program]
    done = subprocess.run(command + flags, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode != 0:
        print("without the libfuse passthrough: it does not compile: " + done.stdout.strip())
        return None
    return program


class Commands:
    """Brought up and down by shell commands.

    In all three texts {disk} is a fresh directory on the measured disk and {mount} an empty
    directory elsewhere. The commands may be empty.
    """

    def __init__(self, disk, name, up, down, path):
        self.name = name
        self.disk = disk
        self.values = {"disk": os.path.join(disk.path, "data"),
                       "mount": os.path.join(disk.top, f"mount-{name.replace(' ', '-')}")}
        self.up, self.down, self.path = up, down, path

    def command(self, text):
        quoted = {key: shlex.quote(value) for key, value in self.values.items()}
        return text.format(**quoted)

    def __enter__(self):
        os.makedirs(self.values["disk"])
        os.makedirs(self.values["mount"], exist_ok=True)
        if self.up:
            log = tempfile.TemporaryFile()
            done = subprocess.run(self.command(self.up), shell=True, stdin=subprocess.DEVNULL,
                                  stdout=log, stderr=subprocess.STDOUT)
            if done.returncode != 0:
                log.seek(0)
                text = log.read().decode(errors="replace")
                self.__exit__()
                raise RuntimeError(f"{self.name} does not come up: {text[-2000:]}")
        path = os.path.join(self.path.format(**self.values), f"bench-{os.getpid()}")
        os.mkdir(path)
        self.work = path
        return path

    def __exit__(self, *_):
        if self.down:
            subprocess.run(self.command(self.down), shell=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        unmount(self.values["mount"])


def parse_target(disk, text):
    """A target from NAME=UP::DOWN::PATH."""
    name, _, rest = text.partition("=")
    parts = rest.split("::")
    if not name or len(parts) != 3:
        raise ValueError(f"--target {text}: expected NAME=UP::DOWN::PATH")
    return Commands(disk, name, *[part.strip() for part in parts])
