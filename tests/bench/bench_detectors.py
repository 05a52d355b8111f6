"""CPU time of each detector on the frames of a tour through a house, as a table.

Run: python tests/bench/bench_detectors.py [FOLDER OF A ZERO-SHOT DETECTOR]
"""

import sys
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from scenes.house import HousePlace, tour

from agentd.build import build_detector
from policies.config import OpenVocabularyConfig, PerceptionConfig


def main(folder: str | None) -> None:
    """Print the table."""
    place = HousePlace(10_000)
    seen = [place.observe(pose, i)[0] for i, pose in enumerate(tour(place, 0))]
    labels = tuple(sorted({thing.label for thing in place.truth()}))
    names = ["instances", "noisy", "components"] + ["open_vocabulary"] * (folder is not None)
    asked = OpenVocabularyConfig(folder=folder or "", labels=labels)
    table = Table("detector", "CPU-ms per frame", "95th percentile", "detections per frame")
    for name in names:
        config = PerceptionConfig.model_validate(
            {"detector": name, "open_vocabulary": asked.model_dump()}
        )
        detector = build_detector(place.spec, config, 0)
        detector.detect(seen[0])
        took_ms, found = [], 0
        for observation in seen[: 8 if name == "open_vocabulary" else len(seen)]:
            started_s = time.thread_time()
            found += len(detector.detect(observation))
            took_ms.append(1e3 * (time.thread_time() - started_s))
        table.add_row(
            name,
            f"{np.mean(took_ms):.2f}",
            f"{np.percentile(took_ms, 95):.2f}",
            f"{found / len(took_ms):.1f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
