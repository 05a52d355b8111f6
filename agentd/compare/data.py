"""What a comparison is trained and probed on: a life's steps, or those of a recorded data set.

A data set is a folder with the tables of a replay store and a file `dataset.json` that says whose
steps they are. `write_data_set` makes one; any program that fills a `LanceReplay` can.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agentd.build import build_world
from agentd.exit_codes import NotFoundError, UsageError
from agentd.home import Home
from configs.schema import AgentConfig
from learners.recipes.run_spec import DataSpec
from learners.round_spec import body_from_dict, body_to_dict
from memory.care.access import require_readable
from memory.config import ReplayConfig
from memory.errors import NotEnoughDataError
from memory.files import write_atomic
from memory.records import BodySpec
from memory.replay.store import LanceReplay

DATA_SET_FILE = "dataset.json"
FORMAT = 1


class DataSetFile(BaseModel):
    """Contents of `dataset.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = Field(FORMAT, ge=1, le=FORMAT)
    body: dict[str, Any]
    """See `learners.round_spec.body_to_dict`."""
    probe_every: int = Field(8, ge=2)
    """One episode in this many is held out for probes."""


def write_data_set(folder: Path, spec: BodySpec, probe_every: int = 8) -> None:
    """Say whose steps the replay tables in a folder hold.

    Args:
        folder: Of a `LanceReplay`.
        spec: Body that lived them.
        probe_every: One episode in this many is held out.
    """
    words = DataSetFile(body=body_to_dict(spec), probe_every=probe_every)
    write_atomic(folder / DATA_SET_FILE, words.model_dump_json(indent=1).encode() + b"\n")


def of_life(home: Home, config: AgentConfig, body: dict[str, Any] | None = None) -> DataSpec:
    """Return all that a life has stored so far; it may be running.

    Args:
        home: The life.
        config: Its settings.
        body: That lived it; None asks the world.

    Raises:
        NotEnoughDataError: If that cannot be probed yet.
    """
    if body is None:
        world = build_world(config.world)
        try:
            body = body_to_dict(world.spec)
        finally:
            world.close()
    data = _checked(home.memory_folder, config.memory.replay, body, config)
    return data.model_copy(update={"world": config.world.model_dump(mode="json")})


def of_data_set(folder: Path, config: AgentConfig) -> DataSpec:
    """Return a recorded data set.

    Raises:
        NotFoundError: If there is none in the folder.
        UsageError: If its description cannot be read.
    """
    file = folder / DATA_SET_FILE
    try:
        found = DataSetFile.model_validate(json.loads(file.read_text("utf-8")))
        body_from_dict(found.body)
    except FileNotFoundError:
        raise NotFoundError(
            f"--data {folder} holds no recorded data set: expected {DATA_SET_FILE} beside the "
            "tables of a replay store; for a life, use --home"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{file}: {where} = {first['input']!r}: {first['msg']}") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from error
    replay = config.memory.replay.model_copy(update={"probe_every": found.probe_every})
    return _checked(folder, replay, found.body, config)


def _checked(
    folder: Path, replay: ReplayConfig, body: dict[str, Any], config: AgentConfig
) -> DataSpec:
    """Return the newest version, after a look whether it can be probed at all.

    Raises:
        NotEnoughDataError: If not; says what is missing.
    """
    if not require_readable(folder):
        raise NotEnoughDataError(f"{folder} holds no steps yet: let the life go on")
    settings = config.learners.round
    data = DataSpec(
        memory_folder=folder.absolute(),
        replay=replay,
        version=0,
        body=body,
        num_windows=settings.num_probe_windows,
        horizon=settings.probe_frames,
    )
    store = LanceReplay(folder, replay)
    try:
        data = data.model_copy(update={"version": store.version})
        rng = np.random.default_rng(0)
        try:
            for held_out in (False, True):
                store.sample(1, data.horizon, rng, held_out=held_out)
        except NotEnoughDataError as error:
            raise NotEnoughDataError(
                f"too little data in {folder} to compare on ({len(store)} steps): {error}; probes "
                f"take windows of {data.horizon} frames from one episode in {replay.probe_every}"
            ) from error
    finally:
        store.close()
    return data
