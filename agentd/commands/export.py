"""The command export: a life in the formats of others."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from agentd.commands import export_work
from agentd.commands.options import (
    HomeOption,
    JsonOption,
    ProfileOption,
    SetOption,
    born_home,
    load_settings,
)
from agentd.commands.output import print_json

McapOption = Annotated[
    Path | None,
    typer.Option("--mcap", metavar="FILE", help="MCAP, for Foxglove, Rerun and ROS 2 tools."),
]
LerobotOption = Annotated[
    Path | None, typer.Option("--lerobot", metavar="FOLDER", help="LeRobot dataset (v3.0).")
]
TumOption = Annotated[
    Path | None, typer.Option("--tum", metavar="FILE", help="Trajectory as TUM text.")
]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="STEP|TIME", help="From there on.")
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="STEP|TIME", help="Up to there, it included.")
]
LastOption = Annotated[
    str | None, typer.Option("--last", metavar="SPAN", help="The newest, as 90s, 10m, 2h.")
]
EpisodeOption = Annotated[int | None, typer.Option("--episode", min=0, help="One episode.")]
FrameOption = Annotated[
    Literal["body", "camera"], typer.Option("--frame", help="Whose trajectory --tum writes.")
]
DepthOption = Annotated[
    Literal["png", "raw"],
    typer.Option("--depth", help="MCAP: 16-bit PNG, or raw images (viewers make clouds)."),
]
JsonSchemasOption = Annotated[
    bool,
    typer.Option(
        "--json-schemas",
        help="MCAP: schema records for JSON channels. Foxglove completes names; rosbags cannot "
        "open the file.",
    ),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Replace what is there, once the new one is whole.")
]


def export(
    mcap: McapOption = None,
    lerobot: LerobotOption = None,
    tum: TumOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    last: LastOption = None,
    episode: EpisodeOption = None,
    frame: FrameOption = "body",
    depth: DepthOption = "png",
    json_schemas: JsonSchemasOption = False,
    force: ForceOption = False,
    home: HomeOption = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    json_: JsonOption = False,
) -> None:
    """Write a life, or a span of it, in open formats.

    Works while the life runs: what comes later is left out. TIME is a time as 2026-11-24T18:30, or
    how long before the newest observation, as 20m. A file is complete or absent.

    Example: agentd export --mcap life.mcap --last 10m
    """
    targets = export_work.targets_of({"mcap": mcap, "lerobot": lerobot, "tum": tum})
    chosen = born_home(home)
    work = export_work.begin(
        chosen,
        export_work.Bounds(first=from_, end=to, last=last, episode=episode),
        load_settings(chosen, profile, set_).config,
    )
    wishes = export_work.Wishes(frame=frame, depth=depth, json_schemas=json_schemas, force=force)
    done = export_work.write_all(work, targets, wishes)
    if json_:
        print_json({"steps": [work.span.first_step, work.span.last_step], **done})
        return
    for found in done.values():
        export_work.tell(found)
