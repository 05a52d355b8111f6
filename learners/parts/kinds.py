"""What a part of a recipe is, and what encoders return.

Axis letters: b batch, t time, d latent, m patches of a frame, e patch features, k objects,
a appearance, n kept tokens.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from learners.batch import Windows


class Options(BaseModel):
    """Settings of a part; the base for those of each kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes that an encoder fixes and other parts build on.

    Attributes:
        latent_dim: Of the latent of a frame.
        patch_dim: Of a patch token; 0 without dense tokens.
        side: Patches along each side of a frame; 0 without dense tokens.
        frames_per_token: Frames that one patch token spans.
        num_levels: Encoder layers whose tokens `Encoded.levels` holds.
        state_dim: Numbers of proprioception that end the latent of encoders that provide
            `frame_tokens`; see `learners.parts.frame_tokens`.
    """

    latent_dim: int
    patch_dim: int = 0
    side: int = 0
    frames_per_token: int = 1
    num_levels: int = 0
    state_dim: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartKind:
    """One way to fill a section of a recipe.

    Attributes:
        options: Settings that the section may have besides `kind`.
        make: Builds the part; an encoder's `Shape` holds the latent's size only.
        provides: What losses and other parts may ask for when it is there.
        needs: What other parts have to provide.
    """

    options: type[Options]
    make: Callable[[Any, Shape], nn.Module]
    provides: frozenset[str] = frozenset()
    needs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """What an encoder makes of windows.

    Attributes:
        z: Latent of every frame.
        appearance: Of the object rows of every frame, by encoders that provide `appearance`.
        dense: Patch tokens of the last layer, by encoders that provide `dense`.
        levels: Patch tokens of earlier layers, by encoders that provide `levels`.
    """

    z: Float[Tensor, "b t d"]
    appearance: Float[Tensor, "b t k a"] | None = None
    dense: Float[Tensor, "b u m e"] | None = None
    levels: tuple[Float[Tensor, "b u m e"], ...] = field(default=())


@runtime_checkable
class PartEncoder(Protocol):
    """Frames in, tokens out."""

    shape: Shape

    def __call__(self, windows: Windows) -> Encoded:
        """Return the tokens of all frames."""
        ...


@runtime_checkable
class MaskableEncoder(PartEncoder, Protocol):
    """An encoder whose patch tokens can be computed from a part of the patches alone.

    It provides `maskable`. Patches of a clip are numbered frame by frame, row by row.
    """

    def visible(
        self, windows: Windows, keep: Int[Tensor, "b n"]
    ) -> tuple[Float[Tensor, "b n e"], ...]:
        """Return the tokens of the kept patches, none of which saw another patch.

        Those of the layers that `Encoded.levels` holds come first, those of `dense` last.
        """
        ...


@runtime_checkable
class LatentPredictor(Protocol):
    """A predictor of latents after actions; it provides `predictor`."""

    def rollout(
        self, z: Float[Tensor, "n d"], commands: Float[Tensor, "n t 2"]
    ) -> Float[Tensor, "n t d"]:
        """Return the latents after each command, each predicted from the one before."""
        ...
