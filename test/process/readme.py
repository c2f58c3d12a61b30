#!/usr/bin/env python3
"""The README's session can be typed as it stands, one line after the other without a pause, and none of its
commands fails."""
# time-limit: 240
# only-with: --all
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import PAIRFS, Cluster, expect, need_fuse, wait_until

need_fuse()
README = pathlib.Path(__file__).resolve().parents[2] / "README.md"
block = re.search(r"## A session\n\n```\n(.*?)```", README.read_text(), re.DOTALL).group(1)
typed = [line[2:] for line in block.splitlines() if line.startswith("$ ")]
expect(len(typed) > 8, f"a session: {typed}")

with Cluster() as cluster:
    here = {**os.environ, "PAIRFS_DIR": str(cluster.dir), "PAIRFS_MOUNT": str(cluster.mount)}
    for line in typed:
        print(f"$ {line}", flush=True)
        # What ./dev calls when everything is built; each command of a line must be right.
        words = re.sub(r"\./dev(?= )|build/cli/pairfs", lambda _: f"'{PAIRFS}'", line)
        done = subprocess.run(["bash", "-ec", words], cwd=cluster.top, env=here, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        # Its state while a node comes back is not what the line is about.
        degraded = "pairfs status" in line and done.returncode == 1
        expect(done.returncode == 0 or degraded, f"{line} gave {done.returncode}: {done.stdout}{done.stderr}")
        if "cat mnt/hello" in line:
            expect(done.stdout == "hello\n", f"{line} says {done.stdout}")
    wait_until(cluster.healthy, "all is well at the end", timeout=60)
    expect((cluster.mount / "hello").read_text() == "hello\n", "the data are found again")
    cluster.down()
