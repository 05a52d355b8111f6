"""Which patches a method hides, and which it lets the encoder see.

Sizes are drawn once per call, so every element of a batch keeps and hides as many patches as the
others; places are drawn for each element. Where blocks overlap more in one element than in another,
the surplus is dropped at random.

Axis letters: b batch, u tubelets of a clip, n kept patches, h hidden patches, m patches of a frame,
k blocks, r rows, c columns.
"""

import math
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Protocol

import torch
from jaxtyping import Bool, Float, Int
from pydantic import AfterValidator, Field
from torch import Tensor, nn

from learners.batch import Windows
from learners.parts.kinds import Options, PartKind, Shape


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    low, high = span
    if not 0 < low <= high:
        raise ValueError("has to be two numbers above 0, the lower one first")
    return span


def _share(span: tuple[float, float]) -> tuple[float, float]:
    if span[1] > 1:
        raise ValueError("is a share of the patches of a frame, at most 1")
    return _rising(span)


_Span = Annotated[tuple[float, float], AfterValidator(_rising)]
_Share = Annotated[tuple[float, float], AfterValidator(_share)]


_ASPECTS = 16
"""Steps in which aspects are tried out for the largest block."""


class BlocksSpec(Options):
    """Blocks that a tube is made of."""

    count: int = Field(ge=1)
    scale: float = Field(gt=0, lt=1)
    """Share of a frame's patches in one block."""


class MultiblockOptions(Options):
    """Settings."""

    targets: int = Field(4, ge=1)
    target_scale: _Share = (0.15, 0.2)
    """Share of a frame's patches in one target block."""
    target_aspect: _Span = (0.75, 1.5)
    """Height over width."""
    context_scale: _Share = (0.85, 1.0)
    """Share of a frame's patches in the square context block, targets included."""
    min_kept: int = Field(10, ge=1)
    """Patches that the encoder sees at least."""


class TubeOptions(Options):
    """Settings."""

    generators: tuple[BlocksSpec, ...] = Field(
        (BlocksSpec(count=8, scale=0.15), BlocksSpec(count=2, scale=0.7)), min_length=1
    )
    """Each hides the union of its blocks, in a prediction task of its own."""
    aspect: _Span = (0.75, 1.5)
    """Height over width of a block."""
    min_kept: int = Field(4, ge=1)
    """Patches of each frame that the encoder sees at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One encoding of visible patches, and the regions that are predicted from it.

    Attributes:
        keep: Numbers of the visible patches, rising.
        hidden: Numbers of the patches of each region, rising; regions do not see each other.
    """

    keep: Int[Tensor, "b n"]
    hidden: tuple[Int[Tensor, "b h"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Masked:
    """Windows and what is hidden in them.

    Attributes:
        windows: What patches are numbered in: clips, or each frame as a clip of its own.
        tasks: At least one.
    """

    windows: Windows
    tasks: tuple[Task, ...]


class Masks(Protocol):
    """Draws what is hidden; provides `masks`."""

    def __call__(self, windows: Windows, generator: torch.Generator) -> Masked:
        """Draw for a batch."""
        ...


class Multiblock(nn.Module):
    """Target blocks in single frames, seen from a large block without them.

    References:
        Assran et al. 2023, arXiv:2301.08243, section 3 (multi-block masking).
    """

    def __init__(self, options: MultiblockOptions, shape: Shape) -> None:
        super().__init__()
        self.options, self.side = options, shape.side

    def forward(self, windows: Windows, generator: torch.Generator) -> Masked:
        """Draw for every frame."""
        frames = _single_frames(windows)
        o, b = self.options, len(frames.image)
        scale = _uniform(o.context_scale, generator)
        context = _place(_block_size(self.side, scale, 1.0), b, self.side, generator)
        scale, aspect = _uniform(o.target_scale, generator), _uniform(o.target_aspect, generator)
        size = _block_size(self.side, scale, aspect)
        blocks: list[Tensor] = []
        left = context
        for _ in range(o.targets):
            block = _place(size, b, self.side, generator)
            # A target that would leave too little context repeats the first one.
            fits = (left & ~block).flatten(1).sum(1) >= o.min_kept
            block = torch.where(fits[:, None, None], block, blocks[0] if blocks else block)
            blocks.append(block)
            left = left & ~block
        hidden = tuple(_pick(block.flatten(1), generator) for block in blocks)
        task = Task(keep=_pick(left.flatten(1), generator), hidden=hidden)
        return Masked(windows=frames, tasks=(task,))


class Tube(nn.Module):
    """Blocks that hide the same places in every frame of a clip: no copying from a neighbour.

    References:
        Bardes et al. 2024, arXiv:2404.08471, section 3 (3D multi-block masking).
    """

    def __init__(self, options: TubeOptions, shape: Shape) -> None:
        super().__init__()
        self.options, self.side = options, shape.side
        self.frames_per_token = shape.frames_per_token

    def forward(self, windows: Windows, generator: torch.Generator) -> Masked:
        """Draw one task per generator for every clip."""
        b, t = windows.image.shape[:2]
        u = math.ceil(t / self.frames_per_token)
        tasks = []
        for blocks in self.options.generators:
            hidden = self._union(blocks, b, generator).flatten(1)
            keep, hide = _pick(~hidden, generator), _pick(hidden, generator)
            m = self.side**2
            tasks.append(Task(keep=_through(keep, u, m), hidden=(_through(hide, u, m),)))
        return Masked(windows=windows, tasks=tuple(tasks))

    def _union(self, spec: BlocksSpec, b: int, generator: torch.Generator) -> Bool[Tensor, "b r c"]:
        aspect = _uniform(self.options.aspect, generator)
        size = _block_size(self.side, spec.scale, aspect)
        hidden = torch.zeros(b, self.side, self.side, dtype=torch.bool)
        for _ in range(spec.count):
            more = hidden | _place(size, b, self.side, generator)
            # A block that would leave too little to see is left out.
            fits = (~more).flatten(1).sum(1) >= self.options.min_kept
            hidden = torch.where(fits[:, None, None], more, hidden)
        return hidden


def _single_frames(windows: Windows) -> Windows:
    """Return every frame as a window of its own, without crops and pairs."""
    parts = {f.name: getattr(windows, f.name) for f in fields(windows)}
    alone: dict[str, Any] = {
        n: x.flatten(0, 1)[:, None] for n, x in parts.items() if isinstance(x, Tensor)
    }
    return replace(windows, **alone, crops=None, pairs=None, planned=None)


def _uniform(span: tuple[float, float], generator: torch.Generator) -> float:
    low, high = span
    return low + (high - low) * float(torch.rand((), generator=generator))


def _block_size(side: int, scale: float, aspect: float) -> tuple[int, int]:
    """Return height and width of a block, at least one patch and at most the frame."""
    area = scale * side**2
    height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
    return min(max(height, 1), side), min(max(width, 1), side)


def _place(
    size: tuple[int, int], b: int, side: int, generator: torch.Generator
) -> Bool[Tensor, "b r c"]:
    """Return a block of the size somewhere in each frame."""
    inside = []
    for length in size:
        start = torch.randint(side - length + 1, (b, 1), generator=generator)
        cells = torch.arange(side)
        inside.append((cells >= start) & (cells < start + length))
    down, across = inside
    return down[:, :, None] & across[:, None, :]


def _pick(chosen: Bool[Tensor, "b m"], generator: torch.Generator) -> Int[Tensor, "b n"]:
    """Return numbers of chosen patches, as many of each element as the poorest has."""
    order: Float[Tensor, "b m"] = torch.rand(chosen.shape, generator=generator)
    count = int(chosen.sum(1).min())
    return order.masked_fill(~chosen, -1.0).topk(count, dim=1).indices.sort(dim=1).values


def _through(patches: Int[Tensor, "b n"], u: int, m: int) -> Int[Tensor, "b l"]:
    """Return the same patches in all tubelets."""
    return (patches[:, None] + m * torch.arange(u)[:, None]).flatten(1)


def _largest(side: int, scale: float, aspect: tuple[float, float]) -> int:
    """Return the most patches that a block of a scale can have; rounding makes it uneven."""
    low, high = aspect
    aspects = (low + (high - low) * step / _ASPECTS for step in range(_ASPECTS + 1))
    return max(math.prod(_block_size(side, scale, aspect)) for aspect in aspects)


def _make_multiblock(options: MultiblockOptions, shape: Shape) -> Multiblock:
    context = math.prod(_block_size(shape.side, options.context_scale[0], 1.0))
    target = _largest(shape.side, options.target_scale[1], options.target_aspect)
    if context - target < options.min_kept:
        raise ValueError(
            f"min_kept {options.min_kept}: of a context of {context} patches a target of {target} "
            f"leaves {context - target}, and at least min_kept have to be left"
        )
    return Multiblock(options, shape)


def _make_tube(options: TubeOptions, shape: Shape) -> Tube:
    for blocks in options.generators:
        left = shape.side**2 - _largest(shape.side, blocks.scale, options.aspect)
        if left < options.min_kept:
            raise ValueError(
                f"min_kept {options.min_kept}: a block of scale {blocks.scale} leaves {left} of "
                f"{shape.side**2} patches, and at least min_kept have to be left"
            )
    return Tube(options, shape)


_MASKABLE = frozenset({"maskable"})

MULTIBLOCK = PartKind(
    options=MultiblockOptions,
    make=_make_multiblock,
    provides=frozenset({"masks"}),
    needs=_MASKABLE,
)
TUBE = PartKind(
    options=TubeOptions, make=_make_tube, provides=frozenset({"masks"}), needs=_MASKABLE
)
