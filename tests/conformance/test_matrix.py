#!/usr/bin/env python3
"""Puts the rows together: provider by case, each cell ok, or why not. An empty or failing cell fails."""
import json
import pathlib
import sys

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "scenario")]

from cases import CASES  # noqa: E402
from harness.daemon import BUILD  # noqa: E402
from service import load_providers  # noqa: E402

OUT = BUILD / "conformance"
MATRIX = BUILD / "conformance-matrix.txt"


def rows():
    """{row: {case: cell}}; what has no cell gets an empty one."""
    found = {}
    for name in load_providers():
        for row in (name, f"{name}+aimock"):
            path = OUT / f"{row}.row.json"
            cells = json.loads(path.read_text()) if path.exists() else {}
            found[row] = {c.__name__: cells.get(c.__name__, "") for c in CASES}
    return found


def draw(table):
    """Cases down, providers across; reasons numbered below."""
    reasons, lines = {}, []
    names = list(table)
    marks = {"ok": "ok", "": "EMPTY"}
    width = max(len(c.__name__) for c in CASES)
    for i, name in enumerate(names):
        lines.append(f"{'':{width}}  " + "  |" * i + f"  {name}")
    for c in CASES:
        cells = []
        for name in names:
            cell = table[name][c.__name__]
            if cell not in marks:
                number = reasons.setdefault(cell, len(reasons) + 1)
                cells.append(f"{'!' if cell.startswith('FAILED') else ''}{number}")
            else:
                cells.append(marks[cell])
        lines.append(f"{c.__name__:{width}} " + "".join(f"{cell:>3}" for cell in cells))
    lines += [""] + [f"{n:3}  {reason}" for reason, n in reasons.items()]
    lines += ["", "the cases:"] + [f"  {c.__name__:{width}} {c.__doc__.splitlines()[0]}" for c in CASES]
    return "\n".join(lines) + "\n"


def main():
    table = rows()
    cells = [cell for row in table.values() for cell in row.values()]
    ok, bad = cells.count("ok"), sum(cell == "" or cell.startswith("FAILED") for cell in cells)
    summary = f"conformance: {ok} ok, {len(cells) - ok - bad} not applicable"
    summary += f", {bad} failed or empty" if bad else ""
    MATRIX.write_text(summary + "\n\n" + draw(table))
    print(draw(table))
    print(f"{summary}: {MATRIX}")
    sys.exit(1 if bad or not ok else 0)


main()
