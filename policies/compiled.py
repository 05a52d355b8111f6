"""The one place that decides whether the compiled inner loops are used."""

from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType


@dataclass(frozen=True, slots=True)
class Kernels:
    """Compiled inner loops; each stands for numpy code of the module that calls it."""

    grid: ModuleType
    drive: ModuleType


def load_kernels() -> Kernels | None:
    """Return the compiled inner loops, None where numba is not installed.

    The first call on a machine compiles; later ones, also of other processes, load what was kept.
    """
    if find_spec("numba") is None:
        return None
    from policies import kernels, kernels_drive

    return Kernels(kernels, kernels_drive)
