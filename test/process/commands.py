#!/usr/bin/env python3
"""Every command that the README and the documents name is there, and has --help with examples."""
import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "lib"))
from cluster import PAIRFS, expect, pairfs, skip

if not PAIRFS.exists():
    skip("cli/pairfs is not built")
SOURCE = pathlib.Path(__file__).resolve().parents[2]
# In code, but not what it prints, after the program's name; a second word is a command within the first where that has some.
NAMED = re.compile(r"(?:`|^|/)pairfs (?!is )([a-z]+)(?: ([a-z]+)\b)?", re.MULTILINE)

named = set()
for page in [SOURCE / "README.md", *(SOURCE / "docs").glob("*.md")]:
    for block in re.findall(r"```(.*?)```|(`[^`\n]+`)", page.read_text(), re.DOTALL):
        named.update(NAMED.findall("".join(block)))
expect(len(named) > 20, f"the pages name commands: {named}")
for command, within in sorted(named):
    help_of = pairfs(command, "--help")
    expect(help_of.returncode == 0, f"pairfs {command} is named, but: {help_of.stderr}")
    has_commands = re.search(r"^Subcommands:", help_of.stdout, re.MULTILINE)
    if has_commands and within:
        help_of = pairfs(command, within, "--help")
        expect(help_of.returncode == 0, f"pairfs {command} {within} is named, but: {help_of.stderr}")
    elif has_commands:
        continue
    expect("xample" in help_of.stdout, f"an example: {help_of.stdout}")
print(f"{len(named)} commands are there")
