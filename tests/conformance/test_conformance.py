#!/usr/bin/env python3
"""Runs the cases for one provider and leaves its row of the matrix: test_conformance.py PROVIDER [CASE...] [-v]"""
import json
import pathlib
import sys
import time
import traceback

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "scenario")]

from bench import Bench, NotApplicable  # noqa: E402
from cases import CASES  # noqa: E402
from harness.daemon import BUILD  # noqa: E402
from service import load_providers  # noqa: E402

OUT = BUILD / "conformance"


def run_case(bench, case):
    """The cell: "ok", "n/a: reason" or "FAILED: what"."""
    name = case.__name__
    if name in bench.provider.not_applicable:
        return "n/a: " + bench.provider.not_applicable[name]
    bench.begin(name)
    try:
        case(bench)
        bench.end()
        return "ok"
    except NotApplicable as reason:
        return f"n/a: {reason}"
    except Exception as error:
        print(f"--- {name}: {error}")
        for fault in bench.service.faults:
            print(f"    {fault}")
        if not isinstance(error, AssertionError) or "-v" in sys.argv:
            traceback.print_exc(file=sys.stdout)
        return f"FAILED: {type(error).__name__}: {error}"


def run(provider, only):
    unknown = set(provider.not_applicable) - {c.__name__ for c in CASES}
    assert not unknown, f"{provider.name}: not_applicable names cases that do not exist: {unknown}"
    missing = provider.missing()
    if missing:
        return {c.__name__: f"n/a: {missing}" for c in CASES}, []
    bench = Bench(provider)
    cells = {}
    try:
        for case in CASES:
            if not only or case.__name__ in only:
                begin = time.monotonic()
                cells[case.__name__] = run_case(bench, case)
                print(f"{provider.name} {case.__name__}: {cells[case.__name__]} ({time.monotonic() - begin:.2f} s)")
        bugs = bench.client.call("host.stats")["calls"]
        assert bugs["plugin_bugs"] == 0, f"the host found bugs of the plugin: {bugs}"
    except BaseException:
        print(bench.daemon.text()[-6000:])
        bench.close(check=False)
        raise
    bench.close()
    return cells, bench.bodies


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("-")]
    providers = load_providers()
    if "--list" in sys.argv:
        print(";".join(providers))
        return
    if not arguments or arguments[0] not in providers:
        sys.exit(f"usage: test_conformance.py PROVIDER [CASE...]; providers: {', '.join(providers)}")
    OUT.mkdir(exist_ok=True)
    name, only = arguments[0], arguments[1:]
    row, bodies = OUT / f"{name}.row.json", OUT / f"{name}.bodies.json"
    if not only:
        row.unlink(missing_ok=True)  # a crash leaves an empty row, which the matrix refuses
    cells, seen = run(providers[name](), only)
    if not only:
        bodies.write_text(json.dumps(seen))
        row.write_text(json.dumps(cells, indent=1))
    failed = [c for c, cell in cells.items() if cell.startswith("FAILED")]
    print(f"{name}: {sum(c == 'ok' for c in cells.values())} ok, {sum(c.startswith('n/a') for c in cells.values())} not applicable, {len(failed)} failed")
    sys.exit(1 if failed or not cells else 0)


if __name__ == "__main__":
    main()
