"""The command that takes a recorded log into a life: import."""

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentd.commands.options import HomeOption, JsonOption, SetOption, load_settings, open_home
from agentd.commands.output import print_json, print_table, say
from agentd.exit_codes import ExitCode, UsageError

if TYPE_CHECKING:
    from agentd.home import Home
    from agentd.importing.journal import Entry
    from agentd.worlds.recorded.spec import Recorded
    from configs.load import LoadedConfig
    from memory.logs.samples import LogReader

_WRITTEN = """\
# Written by `agentd import` when this life began; change what you like.
"""


def import_(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="LOG",
            help="Folder of rosbag2 or LeRobot (v3), or an .mcap, .db3 or .bag file.",
        ),
    ],
    home: HomeOption = None,
    robot: Annotated[
        Path | None,
        typer.Option(
            "--robot",
            metavar="FILE.toml",
            help="Settings of the robot, as [world.recorded] and below.",
            show_default=False,
        ),
    ] = None,
    set_: SetOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say how the log would be read; change nothing.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a log that is damaged or cut off.")
    ] = False,
    json_: JsonOption = False,
) -> None:
    """Take a recorded robot log into a life.

    Begins a life in a new home: its body is that of the log. Images, pose, commands and bumps
    are brought to the control rate by the times of their headers and go the way of lived steps,
    so that objects, map and replay are those of a life. Ctrl-C, and even a killed process, lose
    nothing: the same command goes on. A log that is in the life already is not taken in twice.

    Example: agentd import kitchen_bag --home robot --set world.recorded.camera_height_m=0.4
    """
    from agentd.worlds.recorded.check import check_steps
    from agentd.worlds.recorded.spec import describe
    from memory.logs.open import open_log

    chosen = open_home(home)
    overrides, loaded = _settings(chosen, robot, set_ or [])
    recorded = loaded.config.world.recorded
    path = log.expanduser().absolute()
    reader = open_log(path, recorded.streams, recorded.resample)
    try:
        body = describe(recorded, reader, whole=strict)
        if strict:
            _refuse_damage(reader, body)
        if dry_run:
            _tell_plan(path, reader, body, json_)
            return
        check_steps(recorded, reader, body.lens)
        report = _take_in(chosen, path, reader, body, overrides, robot)
    finally:
        reader.close()
    if json_:
        print_json(report)
    else:
        _tell_report(report, chosen)
    if not report["done"]:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _settings(
    home: "Home", robot: Path | None, set_: list[str]
) -> tuple[list[str], "LoadedConfig"]:
    """Return all overrides, and the settings; refuse a life in another body."""
    from configs.load import load_config

    if robot is not None and robot.suffix != ".toml":
        raise UsageError(f"--robot {robot}: expected a .toml file")
    if home.exists and (kind := home.read().born["world.kind"]) != "recorded":
        raise UsageError(
            f"the life in {home.path} was born with world.kind = {kind!r}; logs are taken into a "
            "life of their own: give another --home"
        )
    overrides = list(set_) if home.exists else ["world.kind=recorded", *set_]
    profile = None if robot is None else str(robot)
    loaded = load_config(
        profile,
        home.config_file,
        None,
        overrides,
        born=home.read().born if home.exists else None,
    )
    if loaded.config.world.kind != "recorded":
        raise UsageError(
            f"{loaded.origins['world.kind']}: world.kind = {loaded.config.world.kind!r}; a life "
            "that logs are taken into is of the kind recorded"
        )
    detector = "policies.perception.detector"
    if loaded.origins[detector] == "default":
        # A log has no masks of instances: what stands out in its depth is what there is.
        overrides.append(f"{detector}=components")
        loaded = load_config(
            profile,
            home.config_file,
            None,
            overrides,
            born=home.read().born if home.exists else None,
        )
    return overrides, loaded


def _refuse_damage(reader: "LogReader", body: "Recorded") -> None:
    from memory.logs.errors import LogError

    wrong = [body.survey.broken] if body.survey is not None and body.survey.broken else []
    wrong += [f"{what} ({count} times)" for what, count in reader.undecodable.items()]
    if wrong:
        raise LogError(f"--strict: {'; '.join(wrong)}")


def _take_in(
    home: "Home",
    path: Path,
    reader: "LogReader",
    body: "Recorded",
    overrides: list[str],
    robot: Path | None,
) -> dict[str, Any]:
    from agentd.importing.journal import Journal
    from memory.logs.open import fingerprint

    told = [f"world.recorded.{k}={json.dumps(v)}" for k, v in body.settings().items()]
    print_of_log = fingerprint(path)
    was_born = home.exists
    with home.locked():
        if home.exists != was_born:
            raise UsageError(f"a life began in {home.path} a moment ago: try again")
        overrides = overrides if was_born else [*overrides, *told]
        loaded = load_settings(home, None if robot is None else str(robot), overrides)
        home.open_or_create(loaded.values())
        if not was_born and not home.config_file.exists():
            _write_config(home, loaded, None if robot is None else str(robot))
        journal = Journal(home.state_folder)
        entry = journal.find(print_of_log)
        if entry is not None and entry.done:
            return _already(entry)
        unfinished = journal.unfinished()
        if entry is None and unfinished is not None:
            raise UsageError(
                f"the import of {unfinished.path} into this life is not finished: finish it first "
                f"with: {home.command(f'import {unfinished.path}')}"
            )
        return _run(home, loaded, reader, path, print_of_log, journal, entry)


def _run(
    home: "Home",
    loaded: "LoadedConfig",
    reader: "LogReader",
    path: Path,
    print_of_log: str,
    journal: Any,
    entry: "Entry | None",
) -> dict[str, Any]:
    import time

    from agentd.commands.import_progress import ImportProgress
    from agentd.importing.journal import Entry
    from agentd.importing.run import Importing
    from agentd.worlds.recorded.world import RecordedWorld
    from configs.keys import flatten

    recorded = loaded.config.world.recorded
    settings = flatten(recorded)
    if entry is None:
        entry = Entry(
            fingerprint=print_of_log,
            path=str(path),
            settings=settings,
            began_ns=time.time_ns(),
            first_step=-1,
        )
    elif changed := [k for k, v in settings.items() if entry.settings.get(k) != v and k != "log"]:
        raise UsageError(
            f"the import of {entry.path} began with other settings of world.recorded "
            f"({', '.join(changed)}): go on with the same, as it began"
        )
    world = RecordedWorld(recorded.model_copy(update={"at_end": "close"}), reader)
    summary = reader.summary
    with ImportProgress(f"importing {path.name}") as progress:
        importing = Importing(
            home,
            loaded.config,
            world,
            entry,
            journal,
            (summary.start_ns, summary.end_ns),
            progress,
        )
        before = {
            number: signal.signal(number, lambda *_: importing.stop())
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            return importing.run()
        finally:
            importing.close()
            for number, handler in before.items():
                signal.signal(number, handler)


def _already(entry: "Entry") -> dict[str, Any]:
    return {
        "done": True,
        "already": True,
        "log": entry.path,
        "steps": 0,
        "steps_before": entry.steps,
        "first_step": entry.first_step,
        "log_report": entry.report,
    }


def _write_config(home: "Home", loaded: "LoadedConfig", robot: str | None) -> None:
    """Keep what was asked for, so that `agentd run` reads this life as the import did."""
    from memory.files import write_atomic

    values, born = loaded.values(), home.read().born
    chosen = {
        key: values[key]
        for key, origin in loaded.origins.items()
        if (origin.startswith("--set") or origin == robot) and key not in born
    }
    lines = [
        f"{key} = {json.dumps(value)}"
        for key, value in sorted(chosen.items())
        if value is not None and not isinstance(value, dict)
    ]
    write_atomic(home.config_file, (_WRITTEN + "\n".join(lines) + "\n").encode())


def _tell_plan(path: Path, reader: "LogReader", body: "Recorded", json_: bool) -> None:
    from learners.round_spec import body_to_dict

    summary = reader.summary.as_dict()
    notes = list(dict.fromkeys((*summary["notes"], *body.notes)))
    if body.survey is not None and body.survey.broken:
        notes.append(body.survey.broken)
    if json_:
        print_json({"log": str(path), **summary, "notes": notes, "body": body_to_dict(body.spec)})
        return
    say(f"{path}: {summary['format']}, {summary['seconds']:.1f} s")
    rows = [[s["name"], s["type"], s["count"], s["role"], s["format"]] for s in summary["streams"]]
    print_table(("stream", "type", "count", "read_as", "encoding"), rows)
    spec = body.spec
    say(
        f"body: {spec.width_px} x {spec.height_px} pixels, focal length {spec.fx_px:.1f}; camera "
        f"{spec.T_body_camera[2, 3]:.2f} m above the floor; up to {spec.v_max_mps:.2f} m/s and "
        f"{spec.w_max_radps:.2f} rad/s; a step every {spec.tick_s:g} s"
    )
    for note in notes:
        say(f"note: {note}")


def _tell_report(report: dict[str, Any], home: "Home") -> None:
    if report.get("already"):
        say(f"{report['log']} is in this life already: {report['steps_before']} steps")
        return
    speed = f", {report['speed']:g} times real time" if report["speed"] else ""
    say(f"{report['steps']} steps in {report['seconds']:.1f} s{speed}")
    for line in (*report["words"], *report["errors"]):
        say(f"note: {line}")
    if report["not_mapped"]:
        say(f"note: {report['not_mapped']} steps were not mapped: no depth, or a pose in doubt")
    objects = ", ".join(f"{n} {state}" for state, n in report["objects"].items() if n)
    say(f"objects: {objects or 'none'}; {report['explored_m2']:g} m2 of free floor")
    if report["done"]:
        say(f"learn from it with: {home.command('run')} and then {home.command('learn now')}")
    else:
        say("stopped; the same command goes on from here")
