"""Episodes, pairs and models of a benchmark's folder: made once, read ever after.

What is there is trusted to be of the same settings: `settings.json` holds them, and a folder of
other settings is refused.
"""

import json
import time
import tomllib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from bench.two_room import lewm, ours
from bench.two_room.episodes import (
    BLOCK,
    Episodes,
    Pair,
    draw_pairs,
    fingerprint,
    load,
    load_pairs,
    record,
    save,
    save_pairs,
)
from bench.two_room.peer import Rooms
from bench.two_room.windows import Drawer
from safetensors.torch import load_file, save_file
from torch import nn

from learners.recipes.build import build
from learners.recipes.model import ComposedModel
from learners.recipes.settle import Settling, settle
from learners.recipes.spec import Recipe

BATCH_SIZE = 64
TASKS = {"25/50": (25, 50), "100/150": (100, 150)}
"""Steps that the recorded episode took from start to goal, and steps that are allowed."""

_TRAIN_SEED, _HELD_OUT_SEED = 1_000, 500_000
_RECIPE = Path(__file__).with_name("agentd.toml")

T = TypeVar("T", bound=nn.Module)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What decides the result.

    Attributes:
        episodes: That are trained on.
        held_out: Other episodes, which starts and goals are taken from.
        updates: Optimiser steps of each training.
        tuning_pairs: Per task; hyper-parameters were chosen on these.
        pairs: Per task; judged on these alone.
    """

    episodes: int = 600
    held_out: int = 500
    updates: int = 1000
    tuning_pairs: int = 22
    pairs: int = 200


class Lab:
    """See `bench.two_room.arms.Lab`.

    Args:
        folder: Where everything is kept.
        settings: Of this benchmark.
        tell: Called with what took long.

    Raises:
        ValueError: If the folder was made with other settings.
    """

    def __init__(self, folder: Path, settings: Settings, tell: Callable[[str], None]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.settings, self._tell = folder, settings, tell
        self.rooms = Rooms()
        self.recipe = Recipe.model_validate(tomllib.loads(_RECIPE.read_text()))
        here = asdict(settings) | {"recipe": self.recipe.model_dump()}
        file = folder / "settings.json"
        if file.is_file() and json.loads(file.read_text()) != here:
            raise ValueError(
                f"{folder} was made with other settings, see {file.name}: take another"
            )
        file.write_text(json.dumps(here, indent=1) + "\n")
        self.train = self._episodes("train", settings.episodes, _TRAIN_SEED, pictures=True)
        self.action_std = torch.from_numpy(self.train.actions.std(axis=0))
        # Once per seed: a player asks for the same model in every episode.
        self.lewm, self.agentd = cache(self._lewm), cache(self._agentd)

    def pairs(self, task: str, *, tuning: bool = False) -> list[Pair]:
        """Return the pairs that a task is judged on, or those for choosing settings."""
        settings, (offset, _) = self.settings, TASKS[task]
        file = self.folder / f"pairs_{offset}.json"
        if not file.is_file():
            held_out = self._episodes("held_out", settings.held_out, _HELD_OUT_SEED, pictures=False)
            count = settings.tuning_pairs + settings.pairs
            save_pairs(file, draw_pairs(held_out, offset, count, seed=0))
        pairs = load_pairs(file)
        return pairs[: settings.tuning_pairs] if tuning else pairs[settings.tuning_pairs :]

    @property
    def steps(self) -> np.ndarray:
        """Frames of the training episodes that are one block apart, (m 2)."""
        first = self.train.window_starts(2)
        return np.stack([first, first + BLOCK], axis=1)

    def _episodes(self, name: str, number: int, seed: int, *, pictures: bool) -> Episodes:
        file = self.folder / f"{name}.npz"
        if not file.is_file():
            began = time.process_time()
            save(file, record(self.rooms, number, seed, pictures=pictures))
            self._told(f"{name}: {number} episodes", began)
        episodes = load(file)
        self._tell(f"{name}: {len(episodes.places)} frames, SHA-256 {fingerprint(episodes)}")
        return episodes

    def _lewm(self, seed: int) -> lewm.LeWM:
        model = lewm.lewm(lewm.SIZES, seed)

        def train() -> tuple[lewm.LeWM, dict[str, float]]:
            return lewm.train(
                Drawer(self.train, BATCH_SIZE, seed),
                self.action_std,
                updates=self.settings.updates,
                seed=seed,
            )

        return self._once(f"lewm-{seed}", model, train)

    def _agentd(self, seed: int) -> ComposedModel:
        model = build(self.recipe, seed)

        def train() -> tuple[ComposedModel, dict[str, float]]:
            return ours.train(
                self.recipe,
                Drawer(self.train, BATCH_SIZE, seed),
                updates=self.settings.updates,
                seed=seed,
            )

        model = self._once(f"agentd-{seed}", model, train)

        def settled() -> tuple[ComposedModel, dict[str, float]]:
            z = ours.Imagined(model).latents(self.train.frames)
            steps = torch.from_numpy(self.steps)
            return model, {"qrl": settle(model, z, steps, Settling(), seed)}

        return self._once(f"agentd-{seed}-settled", model, settled)

    def _once(self, name: str, model: T, make: Callable[[], tuple[T, dict[str, float]]]) -> T:
        file = self.folder / f"{name}.safetensors"
        if file.is_file():
            model.load_state_dict(load_file(file))
            return model.eval()
        began = time.process_time()
        model, losses = make()
        part = file.with_suffix(".part")
        save_file({k: v.contiguous() for k, v in model.state_dict().items()}, part)
        part.replace(file)
        self._told(f"{name}: " + ", ".join(f"{k} {v:.4f}" for k, v in losses.items()), began)
        return model.eval()

    def _told(self, what: str, began_s: float) -> None:
        line = f"{what} ({time.process_time() - began_s:.0f} CPU-s)"
        with (self.folder / "trained.txt").open("a") as file:
            file.write(line + "\n")
        self._tell(line)
