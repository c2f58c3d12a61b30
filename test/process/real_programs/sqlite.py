#!/usr/bin/env python3
"""SQLite with rollback journal and with WAL: transactions, several writers, a killed writer,
integrity_check; from two mounts in turn, and at once with the rollback journal."""
import os
import random
import signal
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
from programs import Script, check  # noqa: E402

WRITER = """
import sqlite3, sys
path, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
database = sqlite3.connect(path, timeout=120, isolation_level=None)
for i in range(count):
    database.execute("BEGIN IMMEDIATE")
    total = database.execute("SELECT value FROM total").fetchone()[0]
    database.execute("INSERT INTO entry(writer, number, text) VALUES (?, ?, ?)",
                     (name, i, "x" * (i % 700)))
    database.execute("UPDATE total SET value = ?", (total + 1,))
    database.execute("COMMIT")
    print(i, flush=True)
database.close()
"""


def create(path, mode):
    database = sqlite3.connect(path, timeout=60)
    got = database.execute(f"PRAGMA journal_mode={mode}").fetchone()[0]
    check(got == mode, f"journal_mode is {got}, not {mode}")
    database.execute("CREATE TABLE entry(id INTEGER PRIMARY KEY, writer, number, text)")
    database.execute("CREATE INDEX by_writer ON entry(writer, number)")
    database.execute("CREATE TABLE total(value)")
    database.execute("INSERT INTO total VALUES (0)")
    database.commit()
    database.close()


def verify(path, least):
    database = sqlite3.connect(path, timeout=60)
    result = database.execute("PRAGMA integrity_check").fetchall()
    check(result == [("ok",)], f"integrity_check of {path}: {result[:5]}")
    entries = database.execute("SELECT count(*) FROM entry").fetchone()[0]
    total = database.execute("SELECT value FROM total").fetchone()[0]
    database.close()
    check(entries == total, f"{entries} entries, but the total says {total}")
    check(entries >= least, f"{entries} entries, at least {least} were committed")
    return entries


def writer(path, name, count):
    return subprocess.Popen([sys.executable, "-c", WRITER, path, name, str(count)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(script, process):
    output, errors = process.communicate(timeout=script.left())
    check(process.returncode == 0, f"a writer failed: {errors[-1000:]}")
    return len(output.splitlines())


def killed_writers(script, path):
    """Acknowledged transactions survive a killed writer; returns how many there were."""
    acknowledged = 0
    for round_number in range(4):
        process = writer(path, f"killed{round_number}", 100000)
        seen = 0
        for _ in process.stdout:
            seen += 1
            if seen >= 10 + random.randrange(20):
                break
        process.send_signal(signal.SIGKILL)
        seen += len(process.stdout.read().splitlines())
        process.wait(timeout=script.left())
        acknowledged += seen
        verify(path, acknowledged)
    return acknowledged


def one_mode(script, mode):
    path = os.path.join(script.top, f"{mode}.db")
    create(path, mode)
    script.step(f"{mode}: four writers at once")
    count = script.options.transactions
    writers = [writer(path, f"w{i}", count) for i in range(4)]
    done = sum(finish(script, process) for process in writers)
    check(verify(path, done) == 4 * count, "transactions are missing")
    script.step(f"{mode}: writers killed in the middle")
    before = verify(path, 0)
    killed = os.path.join(script.top, f"{mode}-killed.db")
    create(killed, mode)
    killed_writers(script, killed)
    script.step(f"{mode}: VACUUM and a rewrite of everything")
    database = sqlite3.connect(path, timeout=60)
    database.execute("UPDATE entry SET text = text || 'more'")
    database.commit()
    database.execute("VACUUM")
    database.close()
    check(verify(path, before) == before, "the rewrite changed the number of entries")
    if not script.second:
        return
    there = os.path.join(script.second, f"{mode}.db")
    script.step(f"{mode}: two mounts in turn")
    for i in range(6):
        place = (path, there)[i % 2]
        finish(script, writer(place, f"turn{i}", 20))
        before += 20
        check(verify((there, path)[i % 2], before) == before, "the other mount sees less")
    # WAL keeps its index in shared memory, which two kernels do not share.
    if mode == "delete":
        script.step(f"{mode}: two mounts at once")
        pair = [writer(path, "here", count), writer(there, "there", count)]
        before += sum(finish(script, process) for process in pair)
        check(verify(path, before) == before, "transactions are missing")


def options(parser):
    parser.add_argument("--transactions", type=int, default=60, help="of each of the writers")


def work(script):
    for mode in ("delete", "truncate", "wal"):
        one_mode(script, mode)


Script(__doc__, [], 300, options).main(work)
