"""The map that a life saved, read without putting anything aside."""

import zipfile

import numpy as np
from jaxtyping import Float64, Int8

from agentd.exit_codes import AgentdError, ExitCode, NotYetError
from agentd.home import Home
from memory.records import BodySpec
from policies.config import MapConfig
from policies.occupancy import OccupancyMap


class DamagedMapError(AgentdError):
    """The saved map cannot be read."""

    exit_code = ExitCode.DAMAGED


def read_map(
    home: Home, spec: BodySpec, config: MapConfig
) -> tuple[Int8[np.ndarray, "x y"], Float64[np.ndarray, "2"], float]:
    """Return grid (-1 unknown, 0 free, 1 occupied), origin_m and cell_m of the last snapshot.

    Raises:
        NotYetError: If none was saved yet.
        DamagedMapError: If it cannot be read.
    """
    path = home.state_folder / "map.npz"
    occupancy = OccupancyMap(spec, config)
    try:
        with np.load(path, allow_pickle=False) as file:
            occupancy.load({key: file[key] for key in file.files})
    except FileNotFoundError:
        raise NotYetError(f"{path} is missing: the life has saved no map yet") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DamagedMapError(f"{path} cannot be read: {error}") from error
    return occupancy.grid(), np.array(occupancy.origin_m), occupancy.cell_m
