"""ROS bags of both kinds as streams of samples."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from memory.logs.bag import Bag, Message
from memory.logs.bags import open_bag
from memory.logs.choose import BY_TRANSFORMS, Chosen, choose
from memory.logs.config import ResampleConfig, StreamsConfig
from memory.logs.decoder import Decoder
from memory.logs.errors import ImageError, LogError
from memory.logs.images import colour_packed, colour_raw, depth_packed, depth_raw, size_of
from memory.logs.messages import (
    BUMPS,
    COMMANDS,
    IMAGES,
    ODOMETRY,
    POSES,
    TRANSFORMS,
    camera_of,
    frame_of,
    stamp_of,
    transforms_of,
)
from memory.logs.samples import Camera, Kind, LogSummary, Picture, Pose, Sample, Stream
from memory.logs.transforms import FrameTree, matrix_of, optical, pose_of

_MANY_TRANSFORMS = 500
"""Messages of /tf that are looked at for frames that no static transform connects."""


@dataclass(slots=True, kw_only=True)
class _Frames:
    """Which frames count, and how the pose's is the body's."""

    body: str = ""
    world: str = ""
    T_pose_body: Float64[np.ndarray, "4 4"] | None = None


class RosLog:
    """A ROS bag. Satisfies `LogReader`.

    Args:
        path: Folder or file; see `open_bag`.
        streams: Which topics are read.
        resample: Whose `master` and `depth_unit_m` are used here.

    Raises:
        LogError: If it is no bag, or lacks what steps are made of.
    """

    def __init__(self, path: Path, streams: StreamsConfig, resample: ResampleConfig) -> None:
        self._bag: Bag = open_bag(path)
        self._asked = streams
        self._unit_m = resample.depth_unit_m
        self._undecodable: Counter[str] = Counter()
        self._notes: list[str] = []
        self._missing: dict[str, str] = {}
        self._damage = ""
        try:
            self._decoder = Decoder(self._bag.topics, streams.ros_distro, is_ros1=self._bag.is_ros1)
            self._encodings = {t.name: t.type for t in self._bag.topics if t.type in IMAGES}
            self._firsts = {name: self._first(name) for name in self._encodings}
            for name, message in self._firsts.items():
                if message is not None:
                    found = getattr(message, "encoding", getattr(message, "format", ""))
                    self._encodings[name] = str(found)
            self._chosen: Chosen = choose(self._bag.topics, self._encodings, streams)
            self._notes += self._chosen.notes
            self._tree = self._static_tree()
            self._frames = self._choose_frames()
            self._summary = self._summarise(resample)
        except BaseException as error:
            self._bag.close()
            if isinstance(error, LogError) and self._damage not in str(error):
                raise LogError(f"{error}; {self._damage}") from error
            raise

    @property
    def summary(self) -> LogSummary:
        """What is known about it."""
        return self._summary

    @property
    def broken(self) -> str:
        """Why the last reading ended before the end of the log, "" if it did not."""
        return self._bag.broken

    @property
    def undecodable(self) -> dict[str, int]:
        """How many messages of the last reading could not be decoded, by topic and reason."""
        return dict(self._undecodable)

    def close(self) -> None:
        """Let go of the files; quiet when called twice."""
        self._bag.close()

    def samples(self, kinds: Collection[Kind]) -> Iterator[Sample]:
        """Yield samples in the order in which they were written; see `LogReader`."""
        self._undecodable.clear()
        readers = self._readers(kinds)
        for message in self._bag.messages(readers.keys()):
            try:
                decoded = self._decoder.decode(message.data, message.type)
                yield from readers[message.topic](message, decoded)
            except (LogError, ValueError, AttributeError) as error:
                self._undecodable[f"{message.topic}: {error}"] += 1

    # ------------------------------------------------------------------ samples
    def _readers(
        self, kinds: Collection[Kind]
    ) -> dict[str, Callable[[Message, Any], Iterator[Sample]]]:
        chosen = self._chosen
        types = {topic.name: topic.type for topic in self._bag.topics}
        readers: dict[str, Callable[[Message, Any], Iterator[Sample]]] = {}
        if Kind.COLOUR in kinds:
            readers[chosen.colour] = partial(self._one, Kind.COLOUR, self._colour)
        if Kind.DEPTH in kinds and chosen.depth:
            readers[chosen.depth] = partial(self._one, Kind.DEPTH, self._depth)
        if Kind.COMMAND in kinds and chosen.command:
            read = COMMANDS[types[chosen.command]]
            readers[chosen.command] = partial(self._one, Kind.COMMAND, read)
        if Kind.BUMP in kinds:
            for name in chosen.bumps:
                readers[name] = partial(self._one, Kind.BUMP, BUMPS[types[name]])
        if Kind.POSE in kinds:
            if chosen.pose == BY_TRANSFORMS:
                tree = FrameTree(dict(self._tree.parents), dict(self._tree.T_parent))
                tree.fixed = set(self._tree.fixed)
                for name, type_ in types.items():
                    if type_ in TRANSFORMS:
                        readers[name] = partial(self._chain_poses, tree)
            else:
                read_pose = POSES[types[chosen.pose]]
                readers[chosen.pose] = partial(
                    self._one, Kind.POSE, lambda m: self._to_body(read_pose(m))
                )
        return readers

    def _one(
        self, kind: Kind, read: Callable[[Any], Any], message: Message, decoded: Any
    ) -> Iterator[Sample]:
        yield Sample(
            kind=kind,
            topic=message.topic,
            stamp_ns=stamp_of(decoded),
            logged_ns=message.logged_ns,
            value=read(decoded),
        )

    def _chain_poses(self, tree: FrameTree, message: Message, decoded: Any) -> Iterator[Sample]:
        fixed = message.topic.endswith("tf_static")
        moving = None
        for parent, child, stamp_ns, T in transforms_of(decoded):
            tree.put(parent, child, T, fixed=fixed)
            way = tree.chain(self._frames.body)
            # The transform next to the body is the one that moves in every tick; those above it
            # (a localiser's) are rarer, and often dated ahead.
            lowest = next((frame for frame in way if frame not in tree.fixed), None)
            if child == lowest:
                moving = stamp_ns
        if moving is None:
            return
        T_world_body = tree.find(self._frames.world, self._frames.body)
        if T_world_body is not None:
            yield Sample(
                kind=Kind.POSE,
                topic=message.topic,
                stamp_ns=moving,
                logged_ns=message.logged_ns,
                value=pose_of(T_world_body),
            )

    def _to_body(self, pose: Pose) -> Pose:
        T = self._frames.T_pose_body
        return pose if T is None else pose_of(matrix_of(pose) @ T)

    def _colour(self, message: Any) -> Picture:
        if hasattr(message, "encoding"):
            return Picture(colour=partial(colour_raw, message), anywhere=True)
        return Picture(colour=partial(colour_packed, message.data), anywhere=True, packed=True)

    def _depth(self, message: Any) -> Picture:
        def load() -> tuple[np.ndarray, float]:
            if hasattr(message, "encoding"):
                units, unit_m = depth_raw(message)
            else:
                units, unit_m = depth_packed(message.data, message.format)
            return units, self._unit_m or unit_m

        return Picture(depth=load, anywhere=True, packed=hasattr(message, "format"))

    # ------------------------------------------------------------------ at the start
    def _messages(self, topics: Collection[str]) -> Iterator[Message]:
        """Yield messages; remember the damage that ends them: it may explain what is missing."""
        yield from self._bag.messages(topics)
        self._damage = self._damage or self._bag.broken

    def _in_damage(self) -> str:
        return f" ({self._damage})" if self._damage else ""

    def _first(self, topic: str) -> Any:
        """Return the first message of a topic that can be decoded, None if there is none."""
        for message in itertools.islice(self._messages([topic]), 20):
            try:
                return self._decoder.decode(message.data, message.type)
            except LogError:
                continue
        return None

    def _static_tree(self) -> FrameTree:
        tree = FrameTree()
        for topic in self._bag.topics:
            if topic.type in TRANSFORMS and topic.name.endswith("tf_static"):
                self._plant(tree, self._messages([topic.name]), fixed=True)
        return tree

    def _plant(self, tree: FrameTree, messages: Iterator[Message], *, fixed: bool) -> None:
        for message in messages:
            try:
                decoded = self._decoder.decode(message.data, message.type)
                for parent, child, _, T in transforms_of(decoded):
                    if fixed or child not in tree.parents:
                        tree.put(parent, child, T, fixed=fixed)
            except (LogError, ValueError) as error:
                self._notes.append(f"{message.topic}: {error}")

    def _choose_frames(self) -> _Frames:
        tree, asked, chosen = self._tree, self._asked, self._chosen
        frames = _Frames()
        if chosen.pose == BY_TRANSFORMS:
            self._plant_moving()
            known = tree.frames()
            frames.body = asked.body_frame or _first_of(("base_footprint", "base_link"), known)
            above = tree.chain(frames.body)
            frames.world = asked.world_frame or _first_of(("map", "odom"), above)
            if not frames.body or not frames.world or frames.world not in above:
                raise LogError(
                    f"no transforms lead from {frames.world or 'map or odom'} to "
                    f"{frames.body or 'base_link'}; frames of the log: "
                    f"{', '.join(sorted(known)) or 'none'}; name them with world.recorded.streams."
                    "world_frame and body_frame"
                )
            return frames
        first = self._first(chosen.pose)
        child = ""
        if first is not None and first.__msgtype__ == ODOMETRY:
            child = str(first.child_frame_id).removeprefix("/")
        frames.world = frame_of(first) if first is not None else ""
        frames.body = asked.body_frame or child or "base_link"
        if not asked.body_frame and tree.find(child, "base_footprint") is not None:
            frames.body = "base_footprint"
        if child and frames.body != child:
            T = tree.find(child, frames.body)
            if T is None:
                raise LogError(
                    f"{chosen.pose} tells where {child} is, and no static transform leads from it "
                    f"to {frames.body}; frames of the log: {', '.join(sorted(tree.frames()))}"
                )
            frames.T_pose_body = None if np.allclose(T, np.eye(4), atol=1e-6) else T
        return frames

    def _plant_moving(self) -> None:
        """Take in the first value of transforms that are not static."""
        names = [t.name for t in self._bag.topics if t.type in TRANSFORMS]
        self._plant(
            self._tree, itertools.islice(self._messages(names), _MANY_TRANSFORMS), fixed=False
        )

    def _summarise(self, resample: ResampleConfig) -> LogSummary:
        bag, chosen = self._bag, self._chosen
        colour, depth = self._firsts[chosen.colour], self._firsts.get(chosen.depth)
        if colour is None:
            raise LogError(f"no message of {chosen.colour} can be decoded")
        try:
            size = size_of(colour)
        except ImageError as error:
            raise LogError(f"{chosen.colour}: {error}") from error
        camera = self._camera(chosen.colour, chosen.colour_info, colour, size, "camera")
        depth_camera, T_colour_depth = self._depth_geometry(colour, depth, camera)
        master = chosen.depth if resample.master == "depth" and chosen.depth else chosen.colour
        count = next(t.count for t in bag.topics if t.name == master)
        seconds = (bag.end_ns - bag.start_ns) / 1e9
        streams = tuple(
            Stream(
                name=t.name,
                type=t.type,
                count=t.count,
                role=chosen.role(t),
                format=self._encodings.get(t.name, ""),
            )
            for t in sorted(bag.topics, key=lambda t: t.name)
        )
        return LogSummary(
            format=bag.format,
            start_ns=bag.start_ns,
            end_ns=bag.end_ns,
            streams=self._with_pose(streams),
            camera=camera,
            depth_camera=depth_camera,
            T_body_camera=self._mount(frame_of(colour)),
            T_colour_depth=T_colour_depth,
            size_px=size,
            period_s=seconds / max(1, count - 1),
            notes=tuple(dict.fromkeys(self._notes)),
            missing={k: why + self._in_damage() for k, why in self._missing.items()},
        )

    def _with_pose(self, streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
        if self._chosen.pose != BY_TRANSFORMS:
            return streams
        return tuple(
            replace(s, role=Kind.POSE.value)
            if s.type in TRANSFORMS and not s.name.endswith("tf_static")
            else s
            for s in streams
        )

    def _camera(
        self, topic: str, info: str, image: Any, size: tuple[int, int], what: str
    ) -> Camera | None:
        message = self._first(info) if info else None
        if message is None:
            self._missing[what] = f"the log has no camera info for {topic}"
            return None
        try:
            camera, note = camera_of(message, rectified="rect" in topic)
        except LogError as error:
            self._missing[what] = f"{info} is {error}"
            return None
        if note:
            self._notes.append(f"{info}: {note}")
        if not (camera.width_px and camera.height_px):
            camera = replace(camera, width_px=size[0], height_px=size[1])
        return replace(camera, frame=frame_of(image) or camera.frame)

    def _depth_geometry(
        self, colour: Any, depth: Any, camera: Camera | None
    ) -> tuple[Camera | None, Float64[np.ndarray, "4 4"] | None]:
        """Return camera and place of the depth images, both None where they are colour's."""
        if depth is None or camera is None:
            return None, None
        topic = self._chosen.depth
        try:
            size = size_of(depth)
        except ImageError as error:
            raise LogError(f"{topic}: {error}") from error
        own = self._camera(topic, self._chosen.depth_info, depth, size, "depth camera")
        here, there = frame_of(colour), frame_of(depth)
        if own is None or here == there or not here or not there:
            return own, None
        T = self._tree.find(here, there)
        if T is None:
            self._notes.append(
                f"no transform leads from {here} to {there}: depth is taken as seen by the colour "
                "camera"
            )
            return own, None
        return own, None if np.allclose(T, np.eye(4), atol=1e-4) else T

    def _mount(self, image_frame: str) -> Float64[np.ndarray, "4 4"] | None:
        frame, body, tree = self._asked.camera_frame or image_frame, self._frames.body, self._tree
        T = tree.find(body, frame)
        if T is None and self._chosen.pose != BY_TRANSFORMS:
            self._plant_moving()
            T = tree.find(body, frame)
        if T is None:
            known = ", ".join(sorted(tree.frames())) or "none"
            self._missing["mount"] = (
                f"no transform leads from {body} to {frame or 'the camera'} (frames of the log: "
                f"{known})"
            )
            return None
        if tree.moves(body, frame):
            self._notes.append(
                f"{frame} moves against {body}: where it is first is taken for the whole log"
            )
        if not self._asked.camera_frame:
            T, was_body = optical(T)
            if was_body:
                self._notes.append(f"{frame} has x forward and is no optical frame: turned")
        return T


def _first_of(names: Collection[str], known: Collection[str]) -> str:
    return next((name for name in names if name in known), "")
