#!/usr/bin/env python3
"""Clones a source tree (pairfs itself by default), builds it there and runs tests there."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.dont_write_bytecode = True
from programs import Script, check  # noqa: E402

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[".."] * 3))


def options(parser):
    parser.add_argument("--source", default=REPOSITORY, help="a git repository with CMakeLists.txt")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--target", action="append", default=[],
                        help="build only this; all if not given")
    parser.add_argument("--tests", default=".", help="regular expression of the tests to run")
    parser.add_argument("--quick", action="store_true",
                        help="build the load generator only, and run it")


def work(script):
    tree, build = os.path.join(script.top, "source"), os.path.join(script.top, "build")
    script.step(f"cloning {script.options.source}")
    script.run("git", "-c", "safe.directory=*", "clone", "-q", script.options.source, tree)
    files = script.run("git", "ls-files", cwd=tree).splitlines()
    script.step(f"configuring {len(files)} files")
    environment = {"CCACHE_DISABLE": "1"} if script.options.quick else {}
    script.run("cmake", "-S", tree, "-B", build, env=environment)
    targets = ["pairfs-load"] if script.options.quick else script.options.target
    script.step(f"building {' '.join(targets) or 'everything'}")
    command = ["cmake", "--build", build, "-j", str(script.options.jobs)]
    script.run(*command, *(["--target", *targets] if targets else []), env=environment)
    script.step("building again should do nothing")
    again = script.run(*command, *(["--target", *targets] if targets else []), env=environment)
    check("Building" not in again, f"it built again:\n{again[-2000:]}")
    if script.options.quick:
        script.step("running what was built")
        work_dir = os.path.join(script.top, "load")
        os.mkdir(work_dir)
        output = script.run(os.path.join(build, "bench", "pairfs-load"), "create", work_dir,
                            "files", "100")
        check('"operations": 100' in output, output)
    else:
        script.step(f"running the tests {script.options.tests}")
        print(script.run("ctest", "--output-on-failure", "-R", script.options.tests, cwd=build,
                         env={"TMPDIR": script.top})[-1500:])
    status = script.run("git", "status", "--porcelain", cwd=tree)
    check(status == "", f"the build changed the source tree: {status[:500]}")


Script(__doc__, ["git", "cmake", "c++"], 1800, options).main(work)
