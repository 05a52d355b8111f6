"""Where an environment is, in bytes: how its episode began, and all that was done in it since.

An environment cannot be asked for its state, but it does the same again when it is told the same.
"""

import hashlib

from pydantic import BaseModel, ConfigDict, ValidationError

from memory.records import Observation

_DIGEST_BYTES = 32


class SavedEpisode(BaseModel):
    """How to come to where an environment was.

    Attributes:
        settings: Fingerprint of what decides how it goes on.
        seed: Of the run of episodes.
        episode: Number of the episode.
        clock_ns: Time of the last observation.
        sent: Actions since the episode began, numbers each; None if they were too many to keep.
        is_over: Whether the episode has ended, and `was_terminal` how.
        returned: Reward of the episode so far.
        owed: What was wanted and not done yet.
        pose: x_m, y_m, yaw_rad.
        egomotion: Of the last observation.
        bumped: Of the last observation.
        picture: Fingerprint of the last observation's image.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    settings: str
    seed: int
    episode: int
    clock_ns: int
    sent: tuple[int | tuple[float, ...], ...] | None
    is_over: bool
    was_terminal: bool
    returned: float
    owed: tuple[float, float]
    pose: tuple[float, float, float]
    egomotion: tuple[float, float, float]
    bumped: bool
    picture: str


def pack(saved: SavedEpisode) -> bytes:
    """Return it as bytes that tell damage."""
    body = saved.model_dump_json().encode()
    return hashlib.sha256(body).digest() + body


def unpack(state: bytes, settings: str) -> SavedEpisode:
    """Return what `pack` was given.

    Raises:
        ValueError: If it is damaged or belongs to another environment.
    """
    digest, body = state[:_DIGEST_BYTES], state[_DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError(f"the state of the environment is damaged ({len(state)} bytes)")
    try:
        saved = SavedEpisode.model_validate_json(body)
    except ValidationError as error:
        raise ValueError(f"the state of the environment is damaged: {error}") from error
    if saved.settings != settings:
        raise ValueError("the state belongs to another environment or other settings")
    return saved


def picture_of(observation: Observation) -> str:
    """Return a fingerprint of what is seen."""
    parts = observation.rgb.tobytes() + observation.depth_m.tobytes()
    return hashlib.sha256(parts).hexdigest()
