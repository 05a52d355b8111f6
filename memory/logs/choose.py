"""Which topics of a bag are read, where the settings do not say: by type, encoding and name."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from memory.logs.bag import Topic
from memory.logs.config import StreamsConfig
from memory.logs.errors import LogError
from memory.logs.images import KNOWN, is_depth
from memory.logs.messages import BUMPS, CAMERA_INFO, COMMANDS, IMAGES, ODOMETRY, POSES, TRANSFORMS
from memory.logs.samples import Kind

NONE = "none"
BY_TRANSFORMS = "tf"

_BUMP_NAMES = re.compile(r"bump|collision|contact|hazard", re.IGNORECASE)


@dataclass(slots=True)
class Chosen:
    """Names of topics; "" where there is none.

    Attributes:
        colour: Colour images.
        depth: Depth images.
        colour_info: Intrinsics of the colour camera.
        depth_info: Intrinsics of the depth camera.
        pose: Poses, or `BY_TRANSFORMS`.
        command: Commanded velocities.
        bumps: Collisions.
        notes: What was guessed.
    """

    colour: str = ""
    depth: str = ""
    colour_info: str = ""
    depth_info: str = ""
    pose: str = ""
    command: str = ""
    bumps: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)

    def role(self, topic: Topic) -> str:
        """Return what a topic is read for, "" for nothing."""
        roles = {
            self.colour: Kind.COLOUR,
            self.depth: Kind.DEPTH,
            self.pose: Kind.POSE,
            self.command: Kind.COMMAND,
            **dict.fromkeys(self.bumps, Kind.BUMP),
        }
        if topic.name in roles:
            return roles[topic.name].value
        if topic.type in TRANSFORMS:
            return "transforms"
        infos = (self.colour_info, self.depth_info)
        return "camera info" if topic.name in infos else ""


def choose(topics: Sequence[Topic], encodings: Mapping[str, str], asked: StreamsConfig) -> Chosen:
    """Return what to read.

    Args:
        topics: All topics.
        encodings: Encoding or format of the first image, by topic.
        asked: What the settings name.

    Raises:
        LogError: If a named topic is absent or of a wrong type, or the log has no colour images or
            no pose; says what there is.
    """
    filled = {topic.name: topic for topic in topics if topic.count}
    chosen = Chosen()
    images = [t for t in filled.values() if t.type in IMAGES]
    colour = [t for t in images if is_depth(encodings[t.name]) is False]
    depth = [t for t in images if is_depth(encodings[t.name]) is True]
    chosen.colour = _pick("colour", asked.colour, colour, filled, IMAGES, _colour_rank, chosen)
    if not chosen.colour:
        unknown = [t for t in images if is_depth(encodings[t.name]) is None]
        raise LogError(_no_images(unknown, encodings, topics))
    _check_encoding(chosen.colour, encodings, depth=False)
    if asked.depth != NONE:
        chosen.depth = _pick("depth", asked.depth, depth, filled, IMAGES, _depth_rank, chosen)
        if chosen.depth:
            _check_encoding(chosen.depth, encodings, depth=True)
        else:
            chosen.notes.append("the log has no depth images: nothing can be mapped or located")
    infos = [t for t in filled.values() if t.type == CAMERA_INFO]
    for name, image in (("colour_info", chosen.colour), ("depth_info", chosen.depth)):
        named = getattr(asked, name)
        found = _named(name, named, filled, (CAMERA_INFO,)) if named else _info_of(image, infos)
        setattr(chosen, name, found)
    _choose_motion(chosen, filled, asked)
    return chosen


def _choose_motion(chosen: Chosen, filled: Mapping[str, Topic], asked: StreamsConfig) -> None:
    odometry = [t for t in filled.values() if t.type == ODOMETRY]
    if asked.odometry == BY_TRANSFORMS:
        chosen.pose = BY_TRANSFORMS
    else:
        chosen.pose = _pick(
            "odometry", asked.odometry, odometry, filled, tuple(POSES), _pose_rank, chosen
        )
    if not chosen.pose or chosen.pose == BY_TRANSFORMS:
        if not any(
            t.type in TRANSFORMS and not t.name.endswith("tf_static") for t in filled.values()
        ):
            raise LogError(
                "the log tells no pose: neither nav_msgs/Odometry nor transforms that move (tf)"
                f"{_misfits(filled, POSES, _pose_rank)}; a topic of {', '.join(POSES)} can be "
                "named with world.recorded.streams.odometry"
            )
        chosen.pose = BY_TRANSFORMS
    if asked.command != NONE:
        commands = [t for t in filled.values() if t.type in COMMANDS and "cmd" in t.name.lower()]
        chosen.command = _pick(
            "command", asked.command, commands, filled, tuple(COMMANDS), _command_rank, chosen
        )
    if not chosen.command:
        misfits = _misfits(filled, COMMANDS, _command_rank) if asked.command != NONE else ""
        chosen.notes.append(
            f"no commanded velocity is read{misfits}: actions are derived from the motion"
        )
    if asked.bumps:
        named = (_named("bumps", name, filled, tuple(BUMPS)) for name in asked.bumps)
        chosen.bumps = tuple(named)
    else:
        chosen.bumps = tuple(
            t.name
            for t in filled.values()
            if t.type in BUMPS and (t.type != "std_msgs/msg/Bool" or _BUMP_NAMES.search(t.name))
        )


def _pick(
    what: str,
    named: str,
    found: Sequence[Topic],
    filled: Mapping[str, Topic],
    types: Sequence[str],
    rank: "Rank",
    chosen: Chosen,
) -> str:
    if named:
        return _named(what, named, filled, types)
    ordered = sorted(found, key=lambda t: (rank(t.name), -t.count, t.name))
    if len(ordered) > 1:
        others = ", ".join(t.name for t in ordered[1:])
        chosen.notes.append(f"{what}: {ordered[0].name} is read, not {others}")
    return ordered[0].name if ordered else ""


def _misfits(filled: Mapping[str, Topic], types: Collection[str], rank: "Rank") -> str:
    """Return in brackets the topics that bear the right name, but messages of another type."""
    found = [t for t in filled.values() if t.type not in types and rank.knows(t.name)]
    listed = ", ".join(f"{t.name} has the type {t.type}" for t in found)
    return f" ({listed})" if listed else ""


def _named(what: str, name: str, filled: Mapping[str, Topic], types: Sequence[str]) -> str:
    if name not in filled:
        fit = sorted(t.name for t in filled.values() if t.type in types)
        raise LogError(
            f"world.recorded.streams.{what} = {name!r}: the log has no such topic with messages; "
            f"of the types that fit it has {', '.join(fit) or 'none'}"
        )
    if filled[name].type not in types:
        raise LogError(
            f"world.recorded.streams.{what} = {name!r} has the type {filled[name].type}; accepted: "
            f"{', '.join(types)}"
        )
    return name


def _check_encoding(name: str, encodings: Mapping[str, str], *, depth: bool) -> None:
    encoding = encodings[name]
    if is_depth(encoding) is not depth:
        what = "depth" if depth else "colour"
        raise LogError(f"topic {name} has the encoding {encoding!r}: no {what}; known: {KNOWN}")


def _no_images(
    unknown: Sequence[Topic], encodings: Mapping[str, str], topics: Sequence[Topic]
) -> str:
    if unknown:
        listed = ", ".join(f"{t.name} ({encodings[t.name]!r})" for t in unknown)
        return f"no image of the log has an encoding that is known: {listed}; known: {KNOWN}"
    listed = ", ".join(f"{t.name} ({t.type}, {t.count})" for t in topics)
    return f"the log has no colour images; it has {listed or 'no topics'}"


def _info_of(image: str, infos: Sequence[Topic]) -> str:
    """Return the camera info that belongs to an image topic: in the nearest namespace."""
    parts = image.split("/")
    for depth in range(len(parts) - 1, 0, -1):
        beside = "/".join(parts[:depth]) + "/camera_info"
        if any(info.name == beside for info in infos):
            return beside
    return infos[0].name if len(infos) == 1 and image else ""


class Rank:
    """Orders names: the first pattern that is found counts."""

    def __init__(self, *patterns: str) -> None:
        self._patterns = [re.compile(p, re.IGNORECASE) for p in patterns]

    def __call__(self, name: str) -> int:
        """Return a number, lower is better."""
        places = (i for i, pattern in enumerate(self._patterns) if pattern.search(name))
        return next(places, len(self._patterns))

    def knows(self, name: str) -> bool:
        """Tell whether any pattern is found in a name."""
        return self(name) < len(self._patterns)


_colour_rank = Rank(
    r"colou?r|rgb.*image_rect|image_rect_colou?r",
    r"rgb",
    r"front",
    r"^(?!.*(infra|mono|left|right|thermal|debug|_ir))",
)
_depth_rank = Rank(r"aligned", r"registered", r"depth")
_pose_rank = Rank(r"^/odom$", r"^/odometry/filtered$", r"odom")
_command_rank = Rank(r"^/cmd_vel$", r"cmd_vel$", r"cmd_vel")
