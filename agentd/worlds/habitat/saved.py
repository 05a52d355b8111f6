"""Saved worlds: a few numbers as JSON with a digest."""

import hashlib
import json
from collections.abc import Mapping

import numpy as np

FORMAT = 1
_DIGEST_BYTES = 64


def pack(fields: Mapping[str, np.ndarray], fingerprint: str) -> bytes:
    """Return the fields as bytes.

    Args:
        fields: Vectors by name.
        fingerprint: Names the world that the state belongs to.
    """
    lists = {name: values.tolist() for name, values in fields.items()}
    data = {"format": FORMAT, "fingerprint": fingerprint, "fields": lists}
    text = json.dumps(data).encode()
    return hashlib.sha256(text).hexdigest().encode() + text


def unpack(state: bytes, fingerprint: str, like: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the fields of a saved state.

    Args:
        state: Bytes of `pack`.
        fingerprint: The world that is to be restored.
        like: Fields of that world: names, shapes and types must agree.

    Raises:
        ValueError: If the bytes are damaged, newer than this program or of another world.
    """
    digest, text = state[:_DIGEST_BYTES], state[_DIGEST_BYTES:]
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise ValueError(f"the saved world state ({len(state)} bytes) is damaged")
    data = json.loads(text)
    if data["format"] != FORMAT:
        raise ValueError(
            f"the saved world state has format {data['format']}; this program reads {FORMAT}"
        )
    if data["fingerprint"] != fingerprint:
        raise ValueError(
            "the saved world state belongs to another world: scene, camera and control must agree"
        )
    fields = {
        name: np.array(data["fields"].get(name, []), dtype=values.dtype)
        for name, values in like.items()
    }
    for name, values in like.items():
        if fields[name].shape != values.shape:
            raise ValueError(f'the saved world state is damaged: "{name}" has an unexpected shape')
    return fields
