"""Published image and video encoders through `transformers`, frozen: DINOv2, DINOv3, V-JEPA 2.

Weights come from a folder or from the hub's cache on this machine, and from the network only if
the recipe says so; safetensors only. `transformers` is the optional dependency group `pretrained`.

Axis letters: b batch, t time, n frames, c channels, s side, m patches, e patch features.
"""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from learners.batch import Windows
from learners.parts.frozen import PROVIDES, FrozenEncoder, GridOptions
from learners.parts.kinds import PartKind, Shape

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
"""Of the colours that these encoders were trained on."""
_IS_VIDEO = {"dinov2": False, "dinov2_with_registers": False, "dinov3_vit": False, "vjepa2": True}
"""Known families, by what `config.json` calls `model_type`."""


class PretrainedOptions(GridOptions):
    """Settings."""

    name: str
    """A folder with `config.json` and `model.safetensors`, or a name on the hub such as
    `facebook/dinov2-small`, `facebook/dinov3-vits16-pretrain-lvd1689m` or
    `facebook/vjepa2-vitl-fpc64-256`."""
    image_px: int = Field(112, ge=14)
    """Side that frames are enlarged to."""
    download: bool = False
    """Whether weights that are not on this machine may be fetched."""
    cache_mib: int = Field(256, ge=0)
    """Memory for the tokens of frames that were seen before."""


class PretrainedPatches(nn.Module):
    """Patch tokens of windows; frames that were seen before are not encoded again.

    Args:
        network: A model of one of the known families.
        image_px: Side of its input.
        cache_mib: Memory for tokens.
    """

    def __init__(self, network: nn.Module, image_px: int, cache_mib: int) -> None:
        super().__init__()
        self.network = network
        self.image_px = image_px
        self._cache: OrderedDict[bytes, Tensor] = OrderedDict()
        self._room = cache_mib * 2**20
        self.num_encoded = 0

    @torch.no_grad()
    def forward(self, windows: Windows) -> Float[Tensor, "b t m e"]:
        """Return the tokens; the colours alone are looked at."""
        b, t = windows.image.shape[:2]
        colours = windows.image[:, :, :3].flatten(0, 1).contiguous()
        keys = [hashlib.blake2b(colour.numpy().tobytes()).digest() for colour in colours]
        found = {key: self._cache[key] for key in keys if key in self._cache}
        new = {key: i for i, key in enumerate(keys) if key not in found}
        if new:
            tokens = self._encode(colours[list(new.values())])
            found |= dict(zip(new, tokens, strict=True))
        for key in keys:
            self._cache[key] = found[key]
            self._cache.move_to_end(key)
        size = found[keys[0]].nbytes
        while self._cache and len(self._cache) * size > self._room:
            self._cache.popitem(last=False)
        return torch.stack([found[key] for key in keys]).unflatten(0, (b, t))

    def _encode(self, colours: Float[Tensor, "n c s s"]) -> Float[Tensor, "n m e"]:
        self.num_encoded += len(colours)
        size = (self.image_px, self.image_px)
        large = functional.interpolate((colours + 1) / 2, size, mode="bilinear", antialias=True)
        mean, std = (torch.tensor(x).view(3, 1, 1) for x in (_MEAN, _STD))
        pixels = (large - mean) / std
        config = _config(self.network)
        if _IS_VIDEO[config.model_type]:
            # A still clip of one tubelet: every frame is encoded alone.
            clip = pixels[:, None].expand(-1, int(config.tubelet_size), -1, -1, -1)
            out = self.network(pixel_values_videos=clip, skip_predictor=True)
        else:
            out = self.network(pixel_values=pixels)
        # Class and register tokens come first.
        num_patches = (self.image_px // int(config.patch_size)) ** 2
        tokens: Tensor = out.last_hidden_state[:, -num_patches:]
        return tokens.clone()


def load_network(name: str, *, download: bool) -> nn.Module:
    """Return a published encoder.

    Args:
        name: See `PretrainedOptions.name`.
        download: See `PretrainedOptions.download`.

    Raises:
        ValueError: If `transformers` is missing, the weights are not where they were looked for,
            or they are of a family that is not known here; tells what to do.
    """
    try:
        from transformers import AutoConfig, AutoModel
        from transformers.utils import logging
    except ImportError as error:
        raise ValueError(
            "pretrained encoders need the library transformers: pip install 'agentd[pretrained]'"
        ) from error
    logging.disable_progress_bar()
    here = not download
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=here)
    except (OSError, ValueError) as error:
        raise ValueError(_where(name)) from error
    if config.model_type not in _IS_VIDEO:
        known = ", ".join(_IS_VIDEO)
        raise ValueError(f"{name!r} is a {config.model_type!r}; known families: {known}")
    try:
        network: nn.Module = AutoModel.from_pretrained(
            name, local_files_only=here, use_safetensors=True
        )
    except OSError as error:
        raise ValueError(_where(name)) from error
    return network


def _where(name: str) -> str:
    """Return where weights were looked for, and how to get them."""
    if Path(name).is_dir():
        return (
            f"the folder {name!r} holds no readable config.json and model.safetensors (pickled "
            "weights are not read); get them with: hf download NAME --local-dir " + name
        )
    from huggingface_hub.constants import HF_HUB_CACHE

    return (
        f"there is no folder {name!r}, and no such weights in {HF_HUB_CACHE}; get them with: "
        f"hf download {name} (--local-dir FOLDER to name the folder instead), or set "
        "download = true"
    )


def _config(network: nn.Module) -> Any:
    return network.config


def _make(options: PretrainedOptions, shape: Shape) -> FrozenEncoder:
    network = load_network(options.name, download=options.download)
    config = _config(network)
    patch_px, width = int(config.patch_size), int(config.hidden_size)
    if options.image_px % patch_px:
        raise ValueError(
            f"image_px {options.image_px} is no multiple of the {patch_px} px patches of "
            f"{options.name!r}"
        )
    patches = PretrainedPatches(network, options.image_px, options.cache_mib)
    side = options.image_px // patch_px
    return FrozenEncoder(patches, shape, width=width, side=side, grid=options.grid)


PRETRAINED = PartKind(options=PretrainedOptions, make=_make, provides=PROVIDES)
