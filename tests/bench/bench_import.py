"""How fast a robot log is taken into a life, against the time in which it was recorded.

640 x 480 RGB-D at 10 Hz with odometry at 50 Hz, as cameras record it: raw images, and JPEG with
PNG of depth. `python tests/bench/bench_import.py [seconds of log]`.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bags import CAMERA, EPOCH_NS, MOUNT, Drive, Messages, jpeg, png
from rosbags.rosbag2 import StoragePlugin, Writer

from agentd.home import Home
from agentd.importing.journal import Entry, Journal
from agentd.importing.run import Importing
from agentd.worlds.recorded.spec import describe
from agentd.worlds.recorded.world import RecordedWorld
from configs.load import load_config
from memory.frames import se3_from_pose
from memory.logs.open import fingerprint, open_log
from memory.records import Action

SIZE = (640, 480)
FOCAL_PX = 525.0
GOAL = 10.0
"""The number to reach: times real time."""


def scene(pose: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return colour and depth of a room of 8 by 8 metres with pillars, with a camera's noise."""
    width, height = SIZE
    u = (np.arange(width) + 0.5 - width / 2) / FOCAL_PX
    v = (np.arange(height) + 0.5 - height / 2) / FOCAL_PX
    rays = np.stack([*np.meshgrid(u, v), np.ones((height, width))], axis=-1)
    T = se3_from_pose(pose) @ MOUNT
    d, o = rays @ T[:3, :3].T, T[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(d[..., 2] < 0, -o[2] / d[..., 2], np.inf)
        for axis in (0, 1):
            side = np.where(d[..., axis] > 0, 4.0, -4.0)
            z = np.minimum(z, (side - o[axis]) / d[..., axis])
        for x, y in ((2, 1), (-1, 2), (1, -2), (-2, -1), (3, -1), (0, 3)):
            a = d[..., 0] ** 2 + d[..., 1] ** 2
            b = d[..., 0] * (o[0] - x) + d[..., 1] * (o[1] - y)
            root = b**2 - a * ((o[0] - x) ** 2 + (o[1] - y) ** 2 - 0.04)
            t = (-b - np.sqrt(np.maximum(root, 0))) / a
            top = o[2] + t * d[..., 2]
            z = np.where((root > 0) & (t > 0) & (top < 0.9) & (top > 0), np.minimum(z, t), z)
    depth_mm = np.rint(np.clip(z, 0, 9.9) * 1000 + rng.normal(0, 3, z.shape)).astype(np.uint16)
    shade = (np.clip(z, 0, 9.9) * 25)[..., None] * [1.0, 0.9, 0.8]
    rgb = np.clip(shade + rng.normal(0, 4, (*z.shape, 3)), 0, 255).astype(np.uint8)
    return rgb, depth_mm


def messages_of(drive: Drive, packed: bool, made: Messages) -> Iterator[tuple[str, int, Any]]:
    rng = np.random.default_rng(0)
    yield "/tf_static", EPOCH_NS, made.tf(made.transform(EPOCH_NS, "base_link", CAMERA, MOUNT))
    views = [scene(drive.pose(stamp), rng) for stamp in drive.stamps()[::5]]
    files = [(jpeg(rgb), png(depth)) for rgb, depth in views] if packed else []
    for k, stamp in enumerate(drive.stamps()):
        yield "/camera/camera_info", stamp, made.info(stamp, SIZE, FOCAL_PX)
        rgb, depth = views[k // 5]
        if packed:
            colour_file, depth_file = files[k // 5]
            format_ = "rgb8; jpeg compressed bgr8"
            yield "/camera/color", stamp, made.compressed(stamp, colour_file, format_)
            yield (
                "/camera/depth",
                stamp,
                made.compressed(stamp, depth_file, "16UC1; png compressed"),
            )
        else:
            yield "/camera/color", stamp, made.image(stamp, rgb, "rgb8")
            yield "/camera/depth", stamp, made.image(stamp, depth, "16UC1")
        for i in range(5):
            at = stamp + i * 20_000_000
            yield "/odom", at, made.odometry(at, se3_from_pose(drive.pose(at)))
        yield "/cmd_vel", stamp, made.twist(drive.v_mps, drive.w_radps)


def write(path: Path, drive: Drive, *, packed: bool) -> Path:
    made = Messages()
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections: dict[str, Any] = {}
        for topic, at, message in messages_of(drive, packed, made):
            name = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, name, typestore=made.store)
            writer.write(connections[topic], at, made.store.serialize_cdr(message, name))
    return path


def take_in(bag: Path, home: Home, tick_s: float) -> dict[str, Any]:
    overrides = [
        "world.kind=recorded",
        "policies.perception.detector=components",
        f"world.recorded.tick_s={tick_s}",
    ]
    loaded = load_config(None, None, {}, overrides)
    config = loaded.config
    reader = open_log(bag, config.world.recorded.streams, config.world.recorded.resample)
    began_s = time.perf_counter()
    body = describe(config.world.recorded, reader)
    survey_s = time.perf_counter() - began_s
    told = [f"world.recorded.{k}={v}" for k, v in body.settings().items()]
    loaded = load_config(None, None, {}, [*overrides, *told])
    with home.locked():
        home.open_or_create(loaded.values())
        journal = Journal(home.state_folder)
        entry = Entry(
            fingerprint=fingerprint(bag), path=str(bag), settings={}, began_ns=1, first_step=-1
        )
        world = RecordedWorld(loaded.config.world.recorded, reader)
        span = (reader.summary.start_ns, reader.summary.end_ns)
        importing = Importing(home, loaded.config, world, entry, journal, span, lambda far: None)
        report = importing.run()
        importing.close()
    return report | {"survey_s": survey_s}


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    drive = Drive(seconds, 10.0, 0.4, 0.25, SIZE, FOCAL_PX)
    load = os.getloadavg()[0]
    print(f"{seconds:g} s of 640 x 480 RGB-D at 10 Hz, survey included; to reach: {GOAL:g}x")
    print(f"{os.cpu_count()} cores, load {load:.1f}; CPU: seconds of log per second of one core")
    heads = ("tick_s", "MB", "steps", "reading", "import", "CPU")
    print(f"{'images':18}" + "".join(head.rjust(9) for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        take_in(write(root / "warm", Drive(2, size=SIZE), packed=False), Home(root / "w"), 0.1)
        for name, packed in (("raw rgb8 + 16UC1", False), ("JPEG + PNG depth", True)):
            bag = write(root / f"bag{packed}", drive, packed=packed)
            megabytes = sum(f.stat().st_size for f in bag.iterdir()) / 1e6
            for tick_s in (0.1, 0.2):
                read_s = reading_s(bag, tick_s)
                began_s = time.process_time()
                report = take_in(bag, Home(root / f"home{packed}{tick_s}"), tick_s)
                cpu_s = time.process_time() - began_s
                wall_s = report["seconds"] + report["survey_s"]
                cells = [f"{tick_s:g}", f"{megabytes:.0f}", str(report["steps"])]
                cells += [f"{seconds / spent:.1f}x" for spent in (read_s, wall_s, cpu_s)]
                print(f"{name:18}" + "".join(cell.rjust(9) for cell in cells))


def reading_s(bag: Path, tick_s: float) -> float:
    """Return the seconds that a recorded world takes alone."""
    config = load_config(None, None, {}, [f"world.recorded.tick_s={tick_s}"]).config.world.recorded
    world = RecordedWorld(config.model_copy(update={"log": str(bag)}))
    began_s = time.perf_counter()
    world.reset(0)
    still = Action(v_mps=0.0, w_radps=0.0, duration_s=tick_s)
    while not world.is_over:
        world.step(still)
    world.close()
    return time.perf_counter() - began_s


if __name__ == "__main__":
    main()
