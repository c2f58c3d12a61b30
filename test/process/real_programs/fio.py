#!/usr/bin/env python3
"""fio writes with checksums in several ways and verifies what it wrote."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
from programs import Script, check  # noqa: E402

# name, options; each writes its whole size once and then reads and verifies it
JOBS = [
    ("sequential, 1 MiB", ["--rw=write", "--bs=1m", "--ioengine=psync"]),
    ("random, 4 KiB", ["--rw=randwrite", "--bs=4k", "--ioengine=psync"]),
    ("random, odd sizes", ["--rw=randwrite", "--bsrange=512-70k", "--bs_unaligned=1",
                           "--ioengine=psync"]),
    ("mapped", ["--rw=randwrite", "--bs=4k", "--ioengine=mmap"]),
    ("direct, asynchronous", ["--rw=randwrite", "--bs=16k", "--ioengine=libaio", "--iodepth=16",
                              "--direct=1"]),
    ("synced after every 16", ["--rw=randwrite", "--bs=8k", "--ioengine=psync", "--fsync=16"]),
]


def options(parser):
    parser.add_argument("--mib", type=int, default=32, help="size of each file")


def work(script):
    for number, (name, flags) in enumerate(JOBS):
        script.step(f"{name}: writing and verifying 2 files of {script.options.mib} MiB")
        common = [f"--name=job{number}", f"--directory={script.top}", "--numjobs=2",
                  f"--size={script.options.mib}m", "--verify=crc32c", "--verify_fatal=1",
                  "--group_reporting", "--fallocate=none", f"--randseed={number + 1}",
                  "--output-format=normal", "--thread=0"]
        script.run("fio", *common, *flags, "--do_verify=1", cwd=script.native)
        # fio cannot find blocks of varying size again without having written them itself.
        if script.second and "--bs_unaligned=1" not in flags:
            # The second mount reads the file without ever having written it.
            elsewhere = [flag.replace(script.top, script.second) for flag in common]
            script.step(f"{name}: verifying through the second mount")
            script.run("fio", *elsewhere, *flags, "--verify_only=1", cwd=script.native)
        for entry in os.listdir(script.top):
            os.unlink(os.path.join(script.top, entry))
    check(os.listdir(script.top) == [], "something is left")


Script(__doc__, ["fio"], 300, options).main(work)
