#!/usr/bin/env python3
"""The daemon under the thread sanitizer, as the scenario tests and a small canary use it: no data race in all that its threads share.

usage: races.py [--only NAME,...] [--calls N]     TDA_BUILD_DIR is a build with TDA_SANITIZE=thread
       --only isolation,tasks: these of tests/scenario; --calls: of each of the canary's 100 users
prints one line of figures; exit code 1 and the reports. A program of which a race is known is run first: what does not find that one proves nothing."""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCENARIO = ROOT / "tests" / "scenario"
BUILD = pathlib.Path(os.environ.get("TDA_BUILD_DIR", ROOT / "build" / "threads"))
# nng closes a descriptor whose number was looked at: core/server/upgrade.c says what it does about that.
KNOWN = re.compile(r"#0 close .*\n.*\(libnng\.so.*\n(.*\n)*?.*#0 dup .*\n.*#1 end .*upgrade\.c")


def reports(folder):
    """What the sanitizer wrote, a report each."""
    blocks = [b for f in sorted(folder.iterdir()) for b in f.read_text(errors="replace").split("==================")]
    return [b for b in blocks if "WARNING: ThreadSanitizer" in b and not KNOWN.search(b)]


def run(command, folder, env=None):
    options = f"log_path={folder}/report exitcode=0 history_size=4"
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=SCENARIO,
                          env={**os.environ, "TSAN_OPTIONS": options, "TDA_BUILD_DIR": str(BUILD), **(env or {})})


def finds_a_known_race():
    with tempfile.TemporaryDirectory() as folder:
        run([BUILD / "bin" / "stress_contexts", 20000], folder, {"TDA_STRESS_BUG": "reference"})
        return bool(reports(pathlib.Path(folder)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="NAME,...")
    parser.add_argument("--calls", type=int, default=100)
    o = parser.parse_args()
    names = [f"test_{n}" for n in o.only.split(",")] if o.only else sorted(p.stem for p in SCENARIO.glob("test_*.py"))
    if not finds_a_known_race():
        sys.exit(f"races: {BUILD} does not find a race that is there; configure it with -DTDA_SANITIZE=thread")
    begin, failed = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        runs = [(n, [sys.executable, "-W", "ignore", SCENARIO / f"{n}.py"]) for n in names]
        runs.append(("canary", [sys.executable, "-W", "ignore", ROOT / "tests" / "proof" / "canary.py", "--users", 100, "--calls", o.calls]))
        for name, command in runs:
            r = run(command, folder)
            if r.returncode:
                failed.append(f"{name} failed (exit {r.returncode}):\n{(r.stdout + r.stderr)[-3000:]}")
        found = reports(pathlib.Path(folder))
    for text in failed + found:
        print(text, flush=True)
    if failed or found:
        sys.exit(f"races: {len(found)} reports, {len(failed)} of {len(runs)} runs failed")
    print(f"{len(names)} files of scenario tests and a canary of {100 * o.calls:,} calls with the daemon under the thread sanitizer, {time.monotonic() - begin:.0f} s: no race")


main()
