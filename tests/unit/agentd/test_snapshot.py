"""What does not fit is put aside and told; the life begins without it."""

import numpy as np

from agentd import snapshot
from agentd.home import Home


class Policy:
    def __init__(self, error: Exception | None) -> None:
        self.error, self.calls = error, []

    def load(self, arrays: dict[str, np.ndarray]) -> None:
        self.calls.append("load")
        if self.error is not None:
            raise self.error

    def reset(self, *, keep_map: bool = True) -> None:
        self.calls.append("keeps" if keep_map else "forgets")


def test_maps_of_another_program_do_not_keep_a_life_from_starting(tmp_path) -> None:
    home, told = Home(tmp_path), []
    home.state_folder.mkdir(parents=True)
    snapshot.save(home, {"format": snapshot.FORMAT}, {"a": np.zeros(2)}, None)
    maps = snapshot.load(home, told.append).map
    fits = Policy(None)
    snapshot.take_up_map(home, maps, fits, told.append)
    assert (fits.calls, told) == (["load"], [])
    old = Policy(ValueError("saved policy state lacks keyframes"))
    snapshot.take_up_map(home, maps, old, told.append)
    assert old.calls == ["load", "forgets"]
    assert "lacks keyframes" in told[0]
    assert (home.state_folder / "map.npz.damaged").exists()
    assert not (home.state_folder / "map.npz").exists()
