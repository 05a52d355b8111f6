"""Where a model is trained: on a graphics card when there is one, else on the processor."""

import contextlib
import dataclasses
from contextlib import AbstractContextManager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

CPU = torch.device("cpu")

T = TypeVar("T")


def best_device() -> torch.device:
    """Return the graphics card that this process uses, the processor without one."""
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else CPU


def made_on(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which tensors that losses and parts make from nothing are made there."""
    # On the processor they are anyway, and asking at each of them takes time.
    return contextlib.nullcontext() if device == CPU else device


def to_device(value: T, device: torch.device) -> T:
    """Return a dataclass with its tensors, also those of dataclasses inside, on a device."""
    return value if device == CPU else cast(T, _moved(value, device))


def _moved(value: Any, device: torch.device) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    moved = {name: _moved(field, device) for name, field in fields.items()}
    return dataclasses.replace(value, **moved)
