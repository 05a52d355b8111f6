"""Control latency, missed ticks, memory and freshness of whole lives, with learning on these cores.

    python tests/bench/bench_life.py --minutes 4

Lives twice in fresh homes, each with learning rounds in a local Ray: at the body's own 5 Hz, and as
fast as the machine allows. Prints a table; asserts nothing about seconds.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agentd.client import Client
from agentd.exit_codes import AgentdError


def _live(home: Path, minutes: float, *args: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the report and the largest resident sizes seen, in MB."""
    command = [sys.executable, "-m", "agentd", "run", "--home", str(home), "--no-view", "--seed"]
    command += ["7", "--minutes", str(minutes), *args]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    client, peak = Client(home), {"agent": 0.0, "ray": 0.0, "acting_share": 0.0}
    ended = threading.Event()
    while process.poll() is None:
        ended.wait(2.0)
        try:
            status = client.call("status")
        except (AgentdError, OSError):
            client.close()
            continue
        peak["agent"] = max(peak["agent"], status["health"]["rss_mb"])
        peak["ray"] = max(peak["ray"], status["health"]["ray_rss_mb"] or 0.0)
        peak["acting_share"] = status["steps"]["acting_share"]
    return json.loads((home / "log" / "report.json").read_text()), peak


def main() -> None:
    """Run both lives and print what they measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=4.0)
    minutes = parser.parse_args().minutes
    table = Table(title=f"Lives of {minutes:g} min on {os.cpu_count()} cores, learning on")
    table.add_column("figure")
    columns = []
    for pace in ("real", "max"):
        with tempfile.TemporaryDirectory(prefix="agentd-bench-") as folder:
            home = Path(folder) / "life"
            rows = "300" if pace == "real" else "1500"
            report, peak = _live(
                home, minutes, "--set", f"life.pace={pace}",
                "--set", f"learners.round.first_rows={rows}",
                "--set", f"learners.round.min_new_rows={rows}",
            )  # fmt: skip
        table.add_column("5 Hz" if pace == "real" else "unpaced", justify="right")
        steps, rounds = report["steps"], report["rounds"]
        fresh = [r["freshness_s"] for r in rounds if r.get("freshness_s") is not None]
        newest = [r["freshness_newest_s"] for r in rounds if r.get("freshness_newest_s")]
        columns.append(
            {
                "steps": str(steps["this_run"]),
                "steps per second": f"{steps['this_run'] / steps['wall_s']:.1f}",
                "observe-to-act p50 / p99 (ms)": f"{steps['tick_p50_ms']} / {steps['tick_p99_ms']}",
                "missed ticks": str(steps["missed_ticks"]),
                "acting : world (time)": _ratio(peak["acting_share"]),
                "rounds / promoted": f"{len(rounds)} / {sum(r['accepted'] for r in rounds)}",
                "freshness of the oldest new row, max (s)": f"{max(fresh, default=0):.0f}",
                "freshness of the newest row, max (s)": f"{max(newest, default=0):.0f}",
                "agent RSS, peak (MiB)": f"{peak['agent']:.0f}",
                "Ray RSS together, peak (MiB)": f"{peak['ray']:.0f}",
                "rows dropped": str(report["rows_dropped"]),
            }
        )
    for name in columns[0]:
        table.add_row(name, *(c[name] for c in columns))
    Console(width=100).print(table)


def _ratio(share: float) -> str:
    return f"{share / max(1e-9, 1 - share):.2f}"


if __name__ == "__main__":
    main()
