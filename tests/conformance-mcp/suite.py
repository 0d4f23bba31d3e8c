"""@modelcontextprotocol/conformance from npm, one scenario at a time: its exit code, and the checks that it has written down.

A whole suite at once would ignore our client's exit code and its timeouts, and a scenario that checked nothing passes: so each runs alone, and counts."""
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scenario"))
from harness.daemon import BUILD, SLOW, clean_env
from harness.peers import MODULES, NODE, need_peers

PACKAGE = MODULES / "@modelcontextprotocol" / "conformance"
DRIVER = f"{sys.executable} {HERE / 'driver.py'}"
# code: the suite's, or the client's where the suite takes no notice of that; statuses: how many checks of each; checks: names that succeeded
Outcome = collections.namedtuple("Outcome", "code statuses checks output")


def required(version):
    """The client scenarios that a revision requires, from the package's own frozen list."""
    need_peers()
    names, section = [], None
    for line in (PACKAGE / "requirements" / f"{version}.yaml").read_text().splitlines():
        if line and line[0] not in " #-":
            section = line
        elif section == "client:" and line.startswith("  - "):
            names.append(line[4:].strip())
    return names


def run(scenario, version, command=DRIVER, timeout=30):
    with tempfile.TemporaryDirectory(prefix="tda-conformance-") as folder:
        arguments = ["--command", command, "--scenario", scenario, "--spec-version", version, "--timeout", str(timeout * 1000 * SLOW), "-o", folder]
        r = subprocess.run([str(NODE), str(PACKAGE / "dist" / "index.js"), "client", *arguments], capture_output=True, text=True,
                           env=clean_env({"TDA_BUILD_DIR": str(BUILD)}), timeout=(timeout + 30) * SLOW)
        results = list(pathlib.Path(folder).rglob("checks.json"))
        checks = json.loads(results[0].read_text()) if results else []
        client = "".join(p.read_text() for p in sorted(pathlib.Path(folder).rglob("std*.txt")))
    statuses = collections.Counter(c["status"] for c in checks)
    output = r.stdout + r.stderr
    exited = re.search(r"Client exited with code (\d+)", output)
    if not exited:  # what it said is not in the output yet
        output += client
    return Outcome(r.returncode or (int(exited.group(1)) if exited else 0), statuses, {c["name"] for c in checks if c["status"] == "SUCCESS"}, output)


def passed(outcome, least):
    """least: as many different checks must have succeeded."""
    return outcome.code == 0 and not outcome.statuses["FAILURE"] and not outcome.statuses["WARNING"] and len(outcome.checks) >= least
