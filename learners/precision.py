"""Mixed precision: parts of a model compute in fewer bits, what losses do with their outputs not.

Weights, gradients of weights and the optimiser's state stay in float32.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16"]


class InBfloat16:
    """A model, or one of its parts, whose products are taken in bfloat16.

    Whatever is called on it returns numbers in float32 again, so a loss that asks a model for its
    parts need not know. Passes for an instance of what it wraps.

    Args:
        inner: A module.
        device_type: Where it computes: `cpu` or `cuda`.
    """

    def __init__(self, inner: nn.Module, device_type: str) -> None:
        self._inner, self._device_type = inner, device_type

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self._inner)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the module does."""
        return self._computed(self._inner, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        """Return a part, a method or a number of the module."""
        found = getattr(self._inner, name)
        if isinstance(found, nn.Module):
            return InBfloat16(found, self._device_type)
        if not callable(found):
            return found
        return lambda *args, **kwargs: self._computed(found, *args, **kwargs)

    def _computed(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with torch.autocast(self._device_type, torch.bfloat16):
            return in_float32(call(*args, **kwargs))


def in_float32(value: Any) -> Any:
    """Return tensors of a structure in float32 if they have fewer bits, all else as it is."""
    if isinstance(value, Tensor):
        return value.float() if value.dtype in (torch.bfloat16, torch.float16) else value
    if isinstance(value, tuple | list):
        parts = [in_float32(part) for part in value]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        new = {name: in_float32(field) for name, field in fields.items()}
        changed = {name: part for name, part in new.items() if part is not fields[name]}
        return dataclasses.replace(value, **changed) if changed else value
    return value
