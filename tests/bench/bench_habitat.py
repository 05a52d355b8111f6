"""What it costs to run the simulator in a process of its own: one look, here and served.

The simulator is the fake one, which draws nothing that would take time: its images are made once.

    python tests/bench/bench_habitat.py
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from habitat_worlds import settings

from agentd.worlds.habitat.backend import LocalCaller, Simulator
from agentd.worlds.habitat.opening import plain
from agentd.worlds.habitat.remote import RemoteCaller
from agentd.worlds.habitat.serve import load_file

SIZES = ((64, 64), (128, 128), (320, 240), (640, 480))
LOOKS = 200
FEET, AHEAD = np.array([3.0, 0.1, -3.0]), np.array([0.0, 0, 0, 1])

STILL = """
import numpy as np
class Still:
    def __init__(self, config):
        shape = (config["height_px"], config["width_px"])
        self.images = {
            "rgb": np.zeros((*shape, 3), dtype=np.uint8),
            "depth_m": np.ones(shape, dtype=np.float32),
            "semantic": np.ones(shape, dtype=np.int32),
        }
    def observe(self, args, arrays):
        return {}, {name: image.copy() for name, image in self.images.items()}
    def close(self):
        pass
def open_backend(config):
    return Still(config)
"""


def look_ms(simulator: Simulator) -> float:
    """Return the median time of a look, in ms."""
    times = []
    for _ in range(LOOKS):
        started_s = time.perf_counter()
        simulator.observe(FEET, AHEAD)
        times.append(time.perf_counter() - started_s)
    return 1e3 * float(np.median(times))


def main() -> None:
    """Print the table."""
    print(f"{'image':>10} {'here ms':>9} {'served ms':>10} {'difference':>11}")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "still.py"
        file.write_text(STILL)
        module = load_file(file, "still")
        for width, height in SIZES:
            config = plain(settings(width_px=width, height_px=height))
            times = {"start_timeout_s": 30.0, "timeout_s": 30.0}
            found = []
            for caller in (
                LocalCaller(module, config, **times),
                RemoteCaller(sys.executable, config, backend=file, **times),
            ):
                found.append(look_ms(Simulator(caller, width, height)))
                caller.close()
            here, served = found
            print(f"{width:>5}x{height:<4} {here:>9.2f} {served:>10.2f} {served - here:>11.2f}")


if __name__ == "__main__":
    main()
