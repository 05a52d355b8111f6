from dataclasses import dataclass
from typing import Any

import pytest
import torch
from masked_recipes import draw, small
from torch import Tensor

from learners.batch import Scale, Windows
from learners.errors import RecipeError
from learners.parts.kinds import Shape
from learners.parts.masks import MULTIBLOCK, TUBE, Masked
from learners.recipes.build import build
from memory.records import BodySpec
from memory.replay.ram import RamReplay

SIDE = 8
SHAPE = Shape(latent_dim=32, patch_dim=32, side=SIDE, frames_per_token=2)


@dataclass(frozen=True)
class Block:
    """Height, width and size of the box around some patches."""

    height: int
    width: int
    is_full: bool


@pytest.fixture(scope="module")
def windows(arena_replay: RamReplay, spec: BodySpec) -> Windows:
    return draw(arena_replay, Scale.of(spec))


def multiblock(windows: Windows, seed: int, **options: Any) -> Masked:
    part = MULTIBLOCK.make(MULTIBLOCK.options(**options), SHAPE)
    masked: Masked = part(windows, torch.Generator().manual_seed(seed))
    return masked


def tube(windows: Windows, seed: int, **options: Any) -> Masked:
    part = TUBE.make(TUBE.options(**options), SHAPE)
    masked: Masked = part(windows, torch.Generator().manual_seed(seed))
    return masked


def block_of(numbers: Tensor) -> Block:
    row, column = numbers // SIDE, numbers % SIDE
    height, width = int(row.max() - row.min()) + 1, int(column.max() - column.min()) + 1
    return Block(height, width, is_full=height * width == len(numbers))


def test_target_blocks_are_rectangles_of_the_asked_scales_and_aspects(windows: Windows) -> None:
    for seed in range(30):
        for numbers in multiblock(windows, seed).tasks[0].hidden:
            blocks = [block_of(element) for element in numbers]
            assert all(block.is_full for block in blocks)
            assert len({(block.height, block.width) for block in blocks}) == 1
            # A side is at most half a patch off what was drawn.
            height, width = blocks[0].height, blocks[0].width
            assert (height - 0.5) * (width - 0.5) <= 0.2 * SIDE**2
            assert (height + 0.5) * (width + 0.5) >= 0.15 * SIDE**2
            assert (height - 0.5) / (width + 0.5) <= 1.5
            assert (height + 0.5) / (width - 0.5) >= 0.75


def test_scales_and_aspects_follow_the_settings(windows: Windows) -> None:
    narrow = multiblock(
        windows, 0, target_scale=(0.125, 0.125), target_aspect=(2.0, 2.0), targets=1, min_kept=1
    )
    assert block_of(narrow.tasks[0].hidden[0][0]) == Block(4, 2, is_full=True)
    context = multiblock(windows, 0, context_scale=(0.4, 0.4), targets=1, min_kept=1)
    block = block_of(context.tasks[0].keep[0])
    assert max(block.height, block.width) <= 5


def test_the_context_of_a_frame_shares_no_patch_with_its_targets(windows: Windows) -> None:
    for seed in range(30):
        masked = multiblock(windows, seed)
        assert masked.windows.image.shape[:2] == (24, 1)
        (task,) = masked.tasks
        assert len(task.hidden) == 4
        assert task.keep.shape[1] >= 10
        for element in range(24):
            hidden = torch.cat([numbers[element] for numbers in task.hidden])
            assert not torch.isin(task.keep[element], hidden).any()


def test_tubes_hide_the_same_places_in_every_frame_of_a_clip(windows: Windows) -> None:
    for seed in range(10):
        masked = tube(windows, seed)
        assert masked.windows is windows
        assert len(masked.tasks) == 2
        for task in masked.tasks:
            for numbers in (task.keep, *task.hidden):
                first, second = numbers.chunk(2, dim=1)
                assert torch.equal(first + SIDE**2, second)
            (hidden,) = task.hidden
            for element in range(len(hidden)):
                assert not torch.isin(task.keep[element], hidden[element]).any()
            assert task.keep.shape[1] >= 2 * 4


def test_two_large_blocks_hide_more_than_eight_small_ones_could_leave(windows: Windows) -> None:
    for seed in range(10):
        small_blocks, large_blocks = (task.hidden[0].shape[1] for task in tube(windows, seed).tasks)
        most = 2 * SIDE**2
        assert 0.15 * most <= small_blocks <= 0.9 * most
        assert 0.6 * most <= large_blocks <= most - 2 * 4


@pytest.mark.parametrize("sampler", [multiblock, tube])
def test_places_differ_between_elements_and_calls_and_repeat_with_the_seed(
    windows: Windows, sampler: Any
) -> None:
    def places(masked: Masked) -> list[Tensor]:
        return [numbers for task in masked.tasks for numbers in (task.keep, *task.hidden)]

    for numbers in places(sampler(windows, 0)):
        assert len({tuple(element) for element in numbers.tolist()}) > 1
        assert (numbers.diff(dim=1) > 0).all()
    again = zip(places(sampler(windows, 0)), places(sampler(windows, 0)), strict=True)
    assert all(torch.equal(a, b) for a, b in again)
    other = zip(places(sampler(windows, 0)), places(sampler(windows, 1)), strict=True)
    assert not all(a.shape == b.shape and torch.equal(a, b) for a, b in other)


def test_a_clip_that_ends_within_a_tubelet_is_masked_to_its_end(windows: Windows) -> None:
    part = TUBE.make(TUBE.options(), SHAPE)
    short = Windows(
        image=windows.image[:, :3],
        ego=windows.ego,
        action=windows.action,
        command=windows.command,
        geometry=windows.geometry,
        valid=windows.valid,
        slots=windows.slots,
    )
    for task in part(short, torch.Generator().manual_seed(0)).tasks:
        assert int(task.hidden[0].max()) >= SIDE**2


@pytest.mark.parametrize(
    ("recipe", "masks", "told"),
    [
        ("ijepa", {"target_scale": [0.2, 0.15]}, "target_scale: .*the lower one first"),
        ("ijepa", {"context_scale": [0.85, 1.2]}, "context_scale: .*at most 1"),
        ("ijepa", {"min_kept": 60}, "min_kept 60: of a context of 49 patches"),
        ("vjepa", {"generators": []}, "generators"),
        ("vjepa", {"generators": [{"count": 2, "scale": 0.99}]}, "scale 0.99 leaves 0 of 64"),
        ("vjepa", {"kind": "multiblok"}, "did you mean 'multiblock'"),
    ],
)
def test_masks_that_leave_nothing_to_see_or_make_no_sense_are_refused(
    recipe: str, masks: dict[str, Any], told: str
) -> None:
    with pytest.raises(RecipeError, match=told):
        build(small(recipe, masks=masks), 0)
