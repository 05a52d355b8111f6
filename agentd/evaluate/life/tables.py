"""The comparison of lives for a terminal."""

from typing import Any

from rich.console import Group
from rich.table import Table

from agentd.evaluate.plain import number, percent

_TITLES = {"success": "Success", "spl": "SPL", "soft_spl": "SoftSPL"}


def report(summary: dict[str, Any]) -> Group:
    """Return the tables of a comparison."""
    return Group(
        _arms_table(summary),
        _phase_table(summary),
        _paired_table(summary),
        _promise_table(summary),
    )


def _arms_table(summary: dict[str, Any]) -> Table:
    table = Table(title="Arms, whole life (%, 95 % cluster bootstrap over lives)")
    for name in ("arm", "lives x goals", *_TITLES.values(), "act ms", "bumps/100", "failures"):
        table.add_column(name)
    for arm, found in summary["arms"].items():
        table.add_row(
            arm,
            f"{found['num_lives']} x {found['num_goals'] // max(found['num_lives'], 1)}",
            *(percent(found[metric]) for metric in _TITLES),
            number(found["act_ms"], ".1f"),
            number(found["bumps_per_100_steps"], ".1f"),
            ", ".join(f"{n} {why}" for why, n in sorted(found["failures"].items())) or "none",
        )
    return table


def _phase_table(summary: dict[str, Any]) -> Table:
    table = Table(title="SPL by phase (%; success in brackets)")
    table.add_column("arm")
    for phase in summary["phases"]:
        table.add_column(phase["name"])
    for arm, found in summary["arms"].items():
        cells = [found["phases"][phase["name"]] for phase in summary["phases"]]
        table.add_row(
            arm,
            *(
                f"{number(cell['spl']['mean'], '.1f', 100)} "
                f"({number(cell['success']['mean'], '.0f', 100)})"
                for cell in cells
            ),
        )
    return table


def _paired_table(summary: dict[str, Any]) -> Table:
    table = Table(title="Paired differences (points, 95 % cluster bootstrap over lives)")
    for name in ("difference", "part", *_TITLES.values()):
        table.add_column(name)
    last = [p["name"] for p in summary["phases"] if p["changes_place"] or p["changes_body"]]
    wanted = {
        "life",
        "sound body",
        summary["phases"][0]["name"],
        *last,
        *(f"{name}, last" for name in last),
    }
    cells: dict[tuple[str, str], list[str]] = {}
    for found in summary["paired"]:
        if found["part"] not in wanted:
            continue
        mark = " *" if (found["low"] or 0) > 0 or (found["high"] or 0) < 0 else ""
        key = (f"{found['a']} - {found['b']}", found["part"])
        cells.setdefault(key, []).append(percent(found, "+.1f") + mark)
    for (name, part), row in cells.items():
        table.add_row(name, part, *row)
    unlike = max((found.get("unlike", 0) for found in summary["paired"]), default=0)
    left_out = f"; at most {unlike} pairs of unlike goals left out" if unlike else ""
    table.caption = f"* the interval excludes zero{left_out}"
    return table


def _promise_table(summary: dict[str, Any]) -> Table:
    table = Table(title="What was promised (%)")
    table.add_column("number")
    arms = summary["arms"]
    for arm in arms:
        table.add_column(arm)
    rows = (
        ("known from goal 4: success", lambda f: f["known"]["success"]),
        ("known from goal 4: SPL", lambda f: f["known"]["spl"]),
        ("moved objects: success", lambda f: f["moved"]["success"]),
        ("moved objects, first time: success", lambda f: f["moved_first"]["success"]),
        ("first aim at what is gone", lambda f: f["stale_aim"]),
        ("came to where nothing is", lambda f: f["stale_visit"]),
        ("- it had gone, not shown before", lambda f: f["vain"]["unforeseen"]),
        ("- it had gone, shown before", lambda f: f["vain"]["shown"]),
        ("- never stood there", lambda f: f["vain"]["misnamed"]),
        ("the same, in all of the changed home", lambda f: f["stale_visit_after"]),
        ("forgetting of A, model error", lambda f: (f["forgetting"] or {}).get("change")),
        ("SPL of A again, against A", lambda f: (f["forgetting"] or {}).get("spl")),
        ("model error on A against shipped", lambda f: (f["forgetting"] or {}).get("learned")),
    )
    for title, pick in rows:
        table.add_row(title, *(_percent_or(pick(found)) for found in arms.values()))
    for kind, name in ((k, n) for k in ("gone", "came") for n in ("precision", "recall")):
        table.add_row(
            f"what {'went' if kind == 'gone' else kind}: {name}",
            *(_percent_or((found[kind] or {}).get(name)) for found in arms.values()),
        )
    repeats = [len((f["drift"] or {"repeats": {}})["repeats"]) for f in arms.values()]
    for k in range(max(repeats, default=0)):
        table.add_row(
            f"SPL after the drift, pass {k + 1}, of before",
            *(
                _percent_or(
                    found["drift"]["repeats"][str(k)]["of_before"] if found["drift"] else None
                )
                for found in arms.values()
            ),
        )
    return table


def _percent_or(found: dict[str, Any] | None) -> str:
    return "-" if found is None or found["mean"] is None else f"{percent(found)} ({found['n']})"
