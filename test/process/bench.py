#!/usr/bin/env python3
"""pairfs bench on a native directory beside another: every row, the JSON, nothing left behind; and what
wrong usage gets."""
# time-limit: 200
# only-with: --all
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import expect, pairfs

with tempfile.TemporaryDirectory() as top:
    first, second = os.path.join(top, "first"), os.path.join(top, "second")
    os.mkdir(first)
    os.mkdir(second)
    for words, saying in (([], "PATH"), ([os.path.join(top, "absent")], "name a directory"),
                          ([__file__], "is not a directory"), ([first, "--fast"], "--fast")):
        wrong = pairfs("bench", *words)
        expect(wrong.returncode == 2 and saying in wrong.stderr + wrong.stdout, f"{words}: {wrong}")
    done = pairfs("bench", first, "--beside", second, "--quick", "--warm", "--json", timeout=180)
    expect(done.returncode == 0, done.stderr)
    results = json.loads(done.stdout)
    expect([one["path"] for one in results] == [first, second], "both directories")
    expect(all(len(one["results"]) == 32 for one in results), "16 rows, few and many processes")
    expect(all(line["amount"] > 0 for one in results for line in one["results"]), "amounts")
    expect(all(line["ratio"] > 0 for line in results[1]["results"]), "ratios beside the second")
    expect("create, 8: " in done.stderr, "progress")
    expect(os.listdir(first) == [] and os.listdir(second) == [], "nothing is left behind")
