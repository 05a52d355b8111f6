"""Rows of a life as Arrow, Polars or pandas."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import pyarrow as pa

from agentd.exit_codes import UsageError


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in RAM; anything that takes Arrow's C stream takes them as they are.

    Attributes:
        arrow: The rows. Units stand in the columns' names.
    """

    arrow: pa.Table

    def polars(self) -> Any:
        """Return a Polars data frame.

        Raises:
            UsageError: If Polars is not installed.
        """
        return _package("polars").from_arrow(self.arrow)

    def pandas(self) -> Any:
        """Return a pandas data frame; lists become objects.

        Raises:
            UsageError: If pandas is not installed.
        """
        _package("pandas")
        return self.arrow.to_pandas()

    def rows(self) -> list[dict[str, Any]]:
        """Return plain dictionaries, one per row."""
        return list(self.arrow.to_pylist())

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self.arrow.__arrow_c_stream__(requested_schema)

    def __repr__(self) -> str:
        names = self.arrow.column_names
        return f"<{len(self)} rows of {', '.join(names)}; .arrow, .polars(), .pandas(), .rows()>"


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise UsageError(
            f"the package {name} is not installed: pip install {name}, or take .arrow"
        ) from None
