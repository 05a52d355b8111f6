"""Trajectories as TUM text: `timestamp tx ty tz qx qy qz qw`, seconds and metres."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from memory.export.output import new_file
from memory.export.span import Calendar, read_poses
from memory.records import BodySpec
from memory.rotations import quaternions_of

TumFrame = Literal["body", "camera"]


def export_tum(
    folder: Path,
    span: Calendar,
    spec: BodySpec | None,
    target: Path,
    *,
    frame: TumFrame = "body",
    force: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write where the body or its camera was, in the world frame; return the lines.

    The camera's axes are those of OpenCV: x right, y down, z forward.

    Args:
        folder: Folder of the life's tables.
        span: Rows to write.
        spec: The body; only needed for its own trajectory.
        target: File to write.
        frame: Whose trajectory.
        force: Whether an existing file may be replaced.
        on_progress: Called with rows done and rows in all.

    Raises:
        FileExistsError: If the file exists and may not be replaced.
        DiskFullError: If there is no space.
        DamagedTableError: If rows cannot be read.
    """
    if frame == "body" and spec is None:
        raise ValueError("the trajectory of the body needs the body that carries the camera")
    done = 0
    with new_file(target, force=force) as partial, partial.open("w", encoding="ascii") as file:
        file.write("# timestamp tx ty tz qx qy qz qw\n")
        for poses in read_poses(folder, span):
            T = (
                poses.T_world_camera
                if spec is None or frame == "camera"
                else (poses.T_world_body(spec))
            )
            for stamp_ns, xyz, q in zip(
                poses.stamp_ns.tolist(),
                T[:, :3, 3].tolist(),
                quaternions_of(T[:, :3, :3]),
                strict=True,
            ):
                seconds, rest = divmod(stamp_ns, 10**9)
                numbers = " ".join(f"{round(value, 9) + 0.0:.9f}" for value in (*xyz, *q.tolist()))
                file.write(f"{seconds}.{rest:09d} {numbers}\n")
            done += len(T)
            on_progress(done, len(span))
    return done
