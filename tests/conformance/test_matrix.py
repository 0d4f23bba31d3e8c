#!/usr/bin/env python3
"""Puts the rows together: case by provider, each cell ok or the number of the reason why not. An empty or failing cell fails."""
import json
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "scenario")]

import test_aimock  # noqa: E402
from cases import CASES  # noqa: E402
from harness.daemon import BUILD  # noqa: E402
from service import load_providers  # noqa: E402

OUT = BUILD / "conformance"
MATRIX = BUILD / "conformance-matrix.txt"


def read(path):
    return json.loads(path.read_text()) if path.exists() else {}


def table_of(rows, cases):
    """{provider: {case: cell}}; what has no cell gets an empty one."""
    return {name: {c.__name__: rows.get(name, {}).get(c.__name__, "") for c in cases} for name in load_providers()}


def mark(cell, reasons):
    if cell == "ok":
        return "ok"
    if not cell:
        return "EMPTY"
    number = reasons.setdefault(cell.removeprefix("n/a: "), len(reasons) + 1)
    return f"!{number}" if cell.startswith("FAILED") else str(number)


def draw(table, cases, reasons):
    lines = []
    for i, name in enumerate(table):
        lines.append(" " * 22 + "   |" * i + f"   {name}")
    for c in cases:
        marks = "".join(f"{mark(row[c.__name__], reasons):>4}" for row in table.values())
        title = (c.__doc__ or "").split("\n")[0]
        lines.append(f"{c.__name__:21}{marks}   {title}".rstrip())
    return lines


def main():
    rows = {name: read(OUT / f"{name}.row.json") for name in load_providers()}
    tables = [(table_of(rows, CASES), CASES), (table_of(read(OUT / "aimock.json"), test_aimock.CASES), test_aimock.CASES)]
    cells = [cell for table, _ in tables for row in table.values() for cell in row.values()]
    ok, bad = cells.count("ok"), sum(cell == "" or cell.startswith("FAILED") for cell in cells)
    summary = f"conformance: {ok} ok, {len(cells) - ok - bad} not applicable" + (f", {bad} failed or empty" if bad else "")
    reasons = {}
    text = [summary, "", "against a fake of the vendor:", ""] + draw(*tables[0], reasons)
    text += ["", "against aimock:", ""] + draw(*tables[1], reasons)
    text += ["", "a number is the reason why a cell is not applicable, with ! why it failed:", ""]
    text += [f"{n:4}  {reason}" for reason, n in reasons.items()]
    MATRIX.write_text("\n".join(text) + "\n")
    print(MATRIX.read_text())
    print(f"{summary} ({MATRIX})")
    sys.exit(1 if bad or not ok else 0)


if __name__ == "__main__":
    main()
