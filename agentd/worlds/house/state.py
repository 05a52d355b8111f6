"""Saved worlds: named arrays in a zip file with a format version and a fingerprint, no pickle."""

import io
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

FORMAT = 2

State = dict[str, np.ndarray]


def pack_state(fields: Mapping[str, np.ndarray], fingerprint: str) -> bytes:
    """Return the fields as bytes.

    Args:
        fields: Arrays by name.
        fingerprint: Names the world that the state belongs to.
    """
    buffer = io.BytesIO()
    header = {"format": np.array(FORMAT), "fingerprint": np.array(fingerprint)}
    np.savez(buffer, allow_pickle=False, **header, **fields)
    return buffer.getvalue()


def unpack_state(state: bytes, fingerprint: str, like: Mapping[str, np.ndarray]) -> State:
    """Return the fields of a saved state.

    Args:
        state: Bytes of `pack_state`.
        fingerprint: The world that is to be restored.
        like: Fields of that world: names, shapes and types must agree.

    Raises:
        ValueError: If the bytes are damaged, newer than this program or of another world.
    """
    try:
        with np.load(io.BytesIO(state), allow_pickle=False) as archive:
            fields = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"the saved world state ({len(state)} bytes) is damaged: {error}"
        ) from error
    version = fields.pop("format", np.array(-1))
    if version.shape != () or version.dtype.kind != "i" or version not in (1, FORMAT):
        raise ValueError(f"the saved world state has format {version}; this program reads {FORMAT}")
    name = fields.pop("fingerprint", np.array(""))
    if str(name) != fingerprint:
        raise ValueError(
            f"the saved world state belongs to another world ({str(name)[:12] or 'unnamed'}); this "
            f"one is {fingerprint[:12]}: house seed, number of rooms and scenario must agree"
        )
    if version == 1:
        _from_format_1(fields, like)
    if fields.keys() != like.keys():
        raise ValueError(f"the saved world state is damaged: it holds {sorted(fields)}")
    for key, expected in like.items():
        if fields[key].shape != expected.shape or fields[key].dtype != expected.dtype:
            raise ValueError(f'the saved world state is damaged: "{key}" has an unexpected shape')
    return fields


def _from_format_1(fields: State, like: Mapping[str, np.ndarray]) -> None:
    """Add what format 2 brought: only slip, drift and camera noise could be worn before."""
    old, new = fields.get("wear", np.zeros(0)), np.zeros_like(like["wear"])
    if old.shape == (3,):
        new[:3], new[6:8] = old, 1.0
        fields["wear"], fields["wheels"] = new, np.zeros_like(like["wheels"])
