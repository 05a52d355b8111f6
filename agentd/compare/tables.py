"""The table of a comparison, for people and for Markdown."""

from collections.abc import Iterator, Sequence
from typing import Any

Cells = tuple[list[str], list[list[str]]]
"""Headers and rows."""

NOTHING = "-"

_MAX_CHARS = 110
"""Of a line of a table, as far as one column beside the names leaves room."""


def scores(summary: dict[str, Any]) -> Cells:
    """Return one row per recipe: mean and standard deviation over seeds of every metric."""
    metrics = summary["metrics"]
    costs = ["parameters", "updates", "CPU-s/update", "windows/s", "MFU"]
    headers = ["recipe", "seeds", *costs, *metrics, "failed"]
    rows = []
    for row in summary["rows"]:
        rows.append(
            [
                row["recipe"],
                str(len(row["seeds"])),
                _thousands(row["parameters"]),
                _number((row["updates"] or {}).get("mean"), ".0f"),
                _spread(row["cpu_s_per_update"]),
                _spread(row.get("windows_per_s")),
                _spread(row.get("mfu")),
                *(_spread(row["metrics"][metric]) for metric in metrics),
                _failures(row["failures"]),
            ]
        )
    return headers, rows


def differences(summary: dict[str, Any]) -> Cells:
    """Return one row per recipe: its difference from the reference, with 95 % interval."""
    metrics = summary["metrics"]
    rows = [
        [f"{name} - {summary['against']}", *(_interval(found.get(metric)) for metric in metrics)]
        for name, found in summary["differences"].items()
    ]
    return ["difference", *metrics], rows


def narrow(cells: Cells) -> Iterator[Cells]:
    """Yield tables that fit a screen: some columns each, and the names before them.

    Columns without a single value are left out.
    """
    headers, rows = cells
    columns = [[header, *values] for header, *values in zip(headers, *rows, strict=True)]
    names, *columns = columns
    shown = [column for column in columns if set(column[1:]) != {NOTHING}]
    taken: list[list[str]] = []
    for column in shown:
        if taken and sum(max(map(len, c)) + 2 for c in [names, *taken, column]) > _MAX_CHARS:
            yield _of_columns([names, *taken])
            taken = []
        taken.append(column)
    yield _of_columns([names, *taken])


def _of_columns(columns: list[list[str]]) -> Cells:
    headers, *rows = map(list, zip(*columns, strict=True))
    return headers, rows


def caption(summary: dict[str, Any]) -> str:
    """Return in a line what was done."""
    budget = summary["budget"]
    unit = "updates" if budget["unit"] == "updates" else "CPU-seconds"
    return (
        f"{budget['amount']:g} {unit} each on {summary['steps']} steps of {summary['body']}, seeds "
        f"{', '.join(map(str, summary['seeds']))}, {summary['probe_windows']} held-out windows"
    )


DIFFERENCES = (
    "Paired 95 % intervals: bootstrap over seeds and probe windows, Student's t over seeds where a "
    "metric is no mean over windows; * excludes zero"
)


SPEED = (
    "windows/s counts seconds of the processor where that computes, drawing batches included; MFU "
    "is the share of the speed of a plain matrix product in the same process."
)


def to_markdown(summary: dict[str, Any]) -> str:
    """Return the whole comparison as a Markdown page."""
    from learners.recipes.measure import METRICS

    parts = [
        "# Recipes compared",
        f"{caption(summary)}. Mean ± standard deviation over seeds.",
        *(_markdown(*part) for part in narrow(scores(summary))),
    ]
    if summary["differences"]:
        parts += [f"{DIFFERENCES}.", *(_markdown(*part) for part in narrow(differences(summary)))]
    parts.append(SPEED)
    parts.append("\n".join(f"- `{m}`: {METRICS[m]}" for m in summary["metrics"] if m in METRICS))
    return "\n\n".join(parts) + "\n"


def _markdown(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _failures(failures: dict[str, str]) -> str:
    """Return each reason once, with the seeds that it ended."""
    by_reason: dict[str, list[str]] = {}
    for seed, why in failures.items():
        by_reason.setdefault(why, []).append(seed)
    told = (f"seed {', '.join(seeds)}: {why}" for why, seeds in by_reason.items())
    return "; ".join(told) or NOTHING


def _spread(found: dict[str, Any] | None) -> str:
    if found is None:
        return NOTHING
    text = _number(found["mean"], ".3g")
    return text if found["std"] is None else f"{text} ±{_number(found['std'], '.2g')}"


def _interval(found: dict[str, Any] | None) -> str:
    if found is None:
        return NOTHING
    text = _number(found["mean"], "+.3g")
    if found["low"] is None:
        return text
    mark = " *" if found["excludes_zero"] else ""
    return f"{text} [{_number(found['low'], '+.3g')}, {_number(found['high'], '+.3g')}]{mark}"


def _number(value: float | None, style: str) -> str:
    return NOTHING if value is None else format(value, style)


def _thousands(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"
