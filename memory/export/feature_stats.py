"""Statistics of features as LeRobot datasets hold them: of vectors by column, of images by channel.

Both are exact: vectors are kept, images are counted by value.
"""

import numpy as np
from jaxtyping import Float64, Int64, Shaped, UInt8

QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)

Stats = dict[str, Float64[np.ndarray, "..."] | Int64[np.ndarray, "1"]]
"""`min`, `max`, `mean`, `std`, `count` and the quantiles `q01` to `q99`."""


def quantile_key(quantile: float) -> str:
    """Return the name of a quantile."""
    return f"q{round(quantile * 100):02d}"


def vector_stats(values: Shaped[np.ndarray, "n d"]) -> Stats:
    """Return the statistics of every column; shapes are (d,), of the count (1,)."""
    numbers = values.astype(np.float64)
    found: Stats = {
        "min": numbers.min(axis=0),
        "max": numbers.max(axis=0),
        "mean": numbers.mean(axis=0),
        "std": numbers.std(axis=0),
        "count": np.array([len(numbers)]),
    }
    for quantile, row in zip(QUANTILES, np.quantile(numbers, QUANTILES, axis=0), strict=True):
        found[quantile_key(quantile)] = row
    return found


class ImageCounts:
    """How often every value of every channel came, of any number of images."""

    def __init__(self) -> None:
        self.num_images = 0
        self._counts = np.zeros((3, 256), dtype=np.int64)

    def add(self, rgb: UInt8[np.ndarray, "h w 3"]) -> None:
        """Count an image."""
        self.num_images += 1
        for channel in range(3):
            self._counts[channel] += np.bincount(rgb[..., channel].ravel(), minlength=256)

    def merge(self, other: "ImageCounts") -> None:
        """Add the images of another."""
        self.num_images += other.num_images
        self._counts += other._counts

    def stats(self) -> Stats:
        """Return the statistics of every channel, values from 0 to 1; shapes are (3, 1, 1)."""
        levels = np.arange(256) / 255.0
        num_px = self._counts.sum(axis=1)
        mean = self._counts @ levels / num_px
        variance = self._counts @ levels**2 / num_px - mean**2
        seen = self._counts > 0
        cumulated = np.cumsum(self._counts, axis=1)
        columns = {
            "min": levels[np.argmax(seen, axis=1)],
            "max": levels[255 - np.argmax(seen[:, ::-1], axis=1)],
            "mean": mean,
            "std": np.sqrt(np.maximum(variance, 0.0)),
        }
        for quantile in QUANTILES:
            rank = np.ceil(quantile * num_px).astype(np.int64)
            columns[quantile_key(quantile)] = levels[np.argmax(cumulated >= rank[:, None], axis=1)]
        found: Stats = {name: values.reshape(3, 1, 1) for name, values in columns.items()}
        found["count"] = np.array([self.num_images])
        return found
