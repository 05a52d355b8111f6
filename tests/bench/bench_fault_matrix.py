"""The guardian's fault matrix: every fault in every channel, with the time that it took to react.

    python tests/bench/bench_fault_matrix.py
    python tests/bench/bench_fault_matrix.py --no-processes
    python tests/bench/bench_fault_matrix.py --markdown    # as in the README

Simulated time, the same on every machine, but for the cells of learner and disk, which run for
real. Ends with 1 if a cell is not green.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fault_matrix import CHANNELS, FAULTS, Cell, loaded_cell, matrix


def _text(cell: Cell) -> str:
    if cell.verdict == "n/a":
        return "n/a"
    if math.isnan(cell.reaction_s):
        return cell.verdict
    return f"{cell.verdict} {cell.reaction_s:.2f}s"


def _markdown(cells: dict[tuple[str, str], Cell]) -> list[str]:
    lines = [f"| | {' | '.join(CHANNELS)} |", "|---" * (len(CHANNELS) + 1) + "|"]
    for fault in FAULTS:
        row = []
        for channel in CHANNELS:
            cell = cells[fault, channel]
            is_timed = cell.verdict == "pass" and not math.isnan(cell.reaction_s)
            row.append(f"{cell.reaction_s:.2f}" if is_timed else cell.verdict.replace("n/a", "-"))
        lines.append(f"| {fault} | {' | '.join(row)} |")
    return lines


def main() -> int:
    """Run the cells and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--no-processes", action="store_true", help="leave out the cells under load"
    )
    parser.add_argument("--markdown", action="store_true", help="print the table alone")
    options = parser.parse_args()
    cells = {(cell.fault, cell.channel): cell for cell in matrix()}
    if not options.no_processes:
        with tempfile.TemporaryDirectory() as folder:
            cells["slow", "learner"] = loaded_cell(Path(folder))
    if options.markdown:
        print("\n".join(_markdown(cells)))
        return 0
    width = max(map(len, FAULTS))
    print(" " * width, *(f"{name:>12}" for name in CHANNELS))
    for fault in FAULTS:
        row = (f"{_text(cells[fault, channel]):>12}" for channel in CHANNELS)
        print(f"{fault:<{width}}", *row)
    print("\nseconds: from the fault to the first command that is slower (battery: to `dock`)")
    reasons = {c.why: c for c in cells.values() if c.verdict == "n/a"}
    for why, cell in reasons.items():
        print(f"n/a, as {cell.fault} x {cell.channel}: {why}")
    red = [cell for cell in cells.values() if not cell.is_green]
    for cell in red:
        print(f"FAIL {cell.fault} x {cell.channel}: {cell.why}")
    print(
        f"{len(cells)} cells, {sum(c.verdict == 'pass' for c in cells.values())} pass, "
        f"{sum(c.verdict == 'n/a' for c in cells.values())} mean nothing, {len(red)} fail"
    )
    return 1 if red else 0


if __name__ == "__main__":
    sys.exit(main())
