"""The client scenarios that a revision of the protocol requires, through the adapter in a real host.

usage: test_required.py VERSION [SCENARIO ...]     prints a line for each scenario, then how many passed; exits with 0 when all did"""
import concurrent.futures
import sys
import time

import suite

# scenario: how many different checks succeed. None of them may fail or warn; fewer means that something was not tried.
CHECKS = {
    "2025-11-25": {},
    "2026-07-28": {},
}
AT_ONCE = 2


def main():
    version, only = sys.argv[1], sys.argv[2:]
    names = only or suite.required(version)
    begin, good, total = time.monotonic(), 0, 0
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        for name, outcome in zip(names, pool.map(lambda n: suite.run(n, version), names)):
            least = CHECKS[version].get(name, 1)
            fine = suite.passed(outcome, least)
            good += fine
            total += outcome.statuses["SUCCESS"]
            print(f"{'ok    ' if fine else 'FAILED'} {name}: exit {outcome.code}, {len(outcome.checks)} checks ({least} needed), {dict(outcome.statuses)}", flush=True)
            if not fine:
                print("    " + outcome.output[-6000:].replace("\n", "\n    "))
    print(f"{version}: {good} of {len(names)} scenarios passed, {total} checks, {time.monotonic() - begin:.0f} s")
    return 0 if good == len(names) else 1


if __name__ == "__main__":
    sys.exit(main())
