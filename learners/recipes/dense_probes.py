"""Linear probes of a frozen encoder: what a straight line can read from its tokens.

Fitted on training episodes, judged on held-out ones. A frame is described by the mean of its patch
tokens where the encoder has any, by its latent elsewhere, so encoders are compared before any head.

Axis letters: w clips, t time, u tubelets, m patches of a frame, e features, n samples, d inputs,
q outputs, c kinds of objects.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor
from torch.nn import functional

from learners.batch import Scale, Windows, to_depth_m, to_windows
from learners.parts.kinds import Encoded
from learners.probes import area_under_curve, chunks, r2
from learners.recipes.model import ComposedModel
from memory.protocols import ReplayStore

PLACE_M = 2.0
"""Side of the squares that places are told apart by: about a small room."""

FROZEN_METRICS = {
    "place_accuracy": "share of held-out frames whose place is told, places counted alike",
    "object_auc": "mean area under the curve of kinds of objects in view",
    "r2_egomotion": "motion between two frames",
    "r2_token_depth": "mean depth of each patch from its token",
    "token_depth_rmse_m": "its error",
}
"""Names and meanings; None where the data or the encoder has no such thing."""

_RIDGES = (1.0, 10.0, 100.0, 1e3, 1e4)
_JUDGED = 5
"""One sample in this many decides between ridges."""
_MIN_SHARE = 0.02
"""A kind of object that is rarer in view, or more common than the rest, is not probed."""

PlaceOf = Callable[[Float32[np.ndarray, "w t 2"]], Int64[np.ndarray, "w t"]]
"""From positions in metres to numbers of places."""

_COLUMN = 100_000
_DEPTH, _HAS_DEPTH = 3, 4
_MIN_KNOWN = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeClips:
    """Clips that encoders are compared on; the same object for all of them.

    Attributes:
        fit: Of training episodes.
        test: Of held-out episodes.
        fit_place: Number of the place of each frame.
        test_place: The same.
        fit_objects: Which kinds of objects are in view.
        test_objects: The same.
        kinds: Their names.
    """

    fit: Windows
    test: Windows
    fit_place: Int64[np.ndarray, "w t"]
    test_place: Int64[np.ndarray, "w t"]
    fit_objects: Bool[np.ndarray, "w t c"]
    test_objects: Bool[np.ndarray, "w t c"]
    kinds: tuple[str, ...]


def draw_clips(
    replay: ReplayStore,
    scale: Scale,
    num_clips: int,
    frames: int,
    rng: np.random.Generator,
    kind_of: Mapping[int, str] | None = None,
    place_of: PlaceOf | None = None,
) -> ProbeClips:
    """Draw clips from training and from held-out episodes.

    Args:
        replay: Store.
        scale: Unit of egomotion.
        num_clips: Of each of the two.
        frames: Of a clip.
        rng: Draws them.
        kind_of: Category of each slot, from the object memory; the replay knows slots alone.
            Without it every slot is a kind of its own.
        place_of: Numbers the place of each position; without it squares of `PLACE_M` are places.

    Raises:
        NotEnoughDataError: If there is no such clip.
    """
    fit = replay.sample(num_clips, frames, rng)
    test = replay.sample(num_clips, frames, rng, held_out=True)
    slots = np.unique(fit.object_slots[fit.object_slots > 0])
    names = {int(s): str(s) if kind_of is None else kind_of.get(int(s), "") for s in slots}
    kinds = tuple(sorted({name for name in names.values() if name}))

    def objects(batch_slots: np.ndarray) -> Bool[np.ndarray, "w t c"]:
        members = [[s for s, name in names.items() if name == kind] for kind in kinds]
        seen = [np.isin(batch_slots, slots).any(axis=-1) for slots in members]
        return np.stack(seen, axis=-1) if seen else np.zeros((*batch_slots.shape[:2], 0), bool)

    fit_place, test_place = ((place_of or squares)(b.pose[..., :2]) for b in (fit, test))
    return ProbeClips(
        fit=to_windows(fit, scale, rng),
        test=to_windows(test, scale, rng),
        fit_place=fit_place,
        test_place=test_place,
        fit_objects=objects(fit.object_slots),
        test_objects=objects(test.object_slots),
        kinds=kinds,
    )


@torch.inference_mode()
def frozen_probes(model: ComposedModel, clips: ProbeClips) -> dict[str, Any]:
    """Return `FROZEN_METRICS` of a model; nothing of it is trained."""
    model.eval()
    fit, test = encode(model, clips.fit), encode(model, clips.test)
    x, x_test = frame_features(fit, clips.fit), frame_features(test, clips.test)
    found: dict[str, Any] = dict.fromkeys(FROZEN_METRICS)
    found["place_accuracy"] = place_accuracy(
        _flat(x), clips.fit_place.ravel(), _flat(x_test), clips.test_place.ravel()
    )
    found["object_auc"] = object_auc(
        _flat(x),
        clips.fit_objects.reshape(-1, len(clips.kinds)),
        _flat(x_test),
        clips.test_objects.reshape(-1, len(clips.kinds)),
    )
    found["r2_egomotion"] = egomotion_r2(x, clips.fit, x_test, clips.test)
    if fit.dense is not None and test.dense is not None:
        found |= token_depth(model, fit.dense, clips.fit, test.dense, clips.test)
    return found


def encode(model: ComposedModel, windows: Windows) -> Encoded:
    """Return latents and patch tokens of many windows."""
    parts = [model.encode(part) for part in chunks(windows)]
    dense = [part.dense for part in parts if part.dense is not None]
    return Encoded(
        z=torch.cat([part.z for part in parts]), dense=torch.cat(dense) if dense else None
    )


def frame_features(encoded: Encoded, windows: Windows) -> Float[Tensor, "w t e"]:
    """Return what describes each frame; frames of a tubelet share it."""
    if encoded.dense is None:
        return encoded.z
    t = windows.image.shape[1]
    pooled = encoded.dense.mean(dim=2)
    return pooled.repeat_interleave(-(-t // pooled.shape[1]), dim=1)[:, :t]


def linear_readout(
    x: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, "n q"], x_test: Float64[np.ndarray, "s d"]
) -> Float64[np.ndarray, "s q"]:
    """Return the predictions of a ridge regression on standardised inputs.

    How strong the ridge is, the last fifth of the samples decides: with a fixed one, a probe of a
    few hundred samples tells how many numbers a token has rather than what is in them.
    """
    mean, spread = x.mean(axis=0), np.maximum(x.std(axis=0), 1e-6)
    x, x_test = (x - mean) / spread, (x_test - mean) / spread
    fitted = max(1, len(x) - len(x) // _JUDGED)
    ridges = _RIDGES if fitted < len(x) else _RIDGES[:1]
    if len(ridges) > 1:
        tried = _ridge_maps(x[:fitted], y[:fitted], ridges)
        errors = [float(np.square(predict(x[fitted:]) - y[fitted:]).sum()) for predict in tried]
        ridges = (ridges[int(np.argmin(errors))],)
    predicted: Float64[np.ndarray, "s q"] = _ridge_maps(x, y, ridges)[0](x_test)
    return predicted


def _ridge_maps(
    x: Float64[np.ndarray, "n d"], y: Float64[np.ndarray, "n q"], ridges: Sequence[float]
) -> list[Callable[[Float64[np.ndarray, "s d"]], Float64[np.ndarray, "s q"]]]:
    """Return a fitted map for each ridge."""
    mean, target_mean = x.mean(axis=0), y.mean(axis=0)
    centred = x - mean
    values, axes = np.linalg.eigh(centred.T @ centred)
    onto = axes.T @ (centred.T @ (y - target_mean))
    weights = [axes @ (onto / (np.maximum(values, 0.0) + ridge)[:, None]) for ridge in ridges]

    def mapped(
        weights: Float64[np.ndarray, "d q"],
    ) -> Callable[[Float64[np.ndarray, "s d"]], Float64[np.ndarray, "s q"]]:
        return lambda new: (new - mean) @ weights + target_mean

    return [mapped(each) for each in weights]


def place_accuracy(
    x: Float64[np.ndarray, "n d"],
    place: Int64[np.ndarray, "n"],
    x_test: Float64[np.ndarray, "s d"],
    place_test: Int64[np.ndarray, "s"],
) -> float | None:
    """Return the mean recall of places, one line per place; None with fewer than two places."""
    places = np.intersect1d(place, place_test)
    if len(places) < 2:
        return None
    fitted, judged = np.isin(place, places), np.isin(place_test, places)
    is_place = (place[fitted][:, None] == places).astype(np.float64)
    # Places are visited unevenly; centred on its share, a rare one is not outvoted.
    score = linear_readout(x[fitted], is_place, x_test[judged]) - is_place.mean(axis=0)
    told = places[(score / np.maximum(is_place.std(axis=0), 1e-6)).argmax(axis=1)]
    truth = place_test[judged]
    return float(np.mean([(told[truth == p] == p).mean() for p in places]))


def object_auc(
    x: Float64[np.ndarray, "n d"],
    seen: Bool[np.ndarray, "n c"],
    x_test: Float64[np.ndarray, "s d"],
    seen_test: Bool[np.ndarray, "s c"],
) -> float | None:
    """Return the mean area under the curve of the kinds; None if none can be judged."""
    shares = np.stack([seen.mean(axis=0), seen_test.mean(axis=0)])
    judged = ((shares >= _MIN_SHARE) & (shares <= 1 - _MIN_SHARE)).all(axis=0)
    if not judged.any():
        return None
    score = linear_readout(x, seen[:, judged].astype(np.float64), x_test)
    areas = [area_under_curve(s, t) for s, t in zip(score.T, seen_test[:, judged].T, strict=True)]
    return float(np.mean([area for area in areas if area is not None]))


def egomotion_r2(
    x: Float[Tensor, "w t e"], fit: Windows, x_test: Float[Tensor, "w t e"], test: Windows
) -> float:
    """Return how well a line tells the motion between two frames from what describes both."""

    def pairs(features: Tensor) -> Float64[np.ndarray, "n d"]:
        return _flat(torch.cat([features[:, :-1], features[:, 1:]], dim=-1))

    motion, truth = (_flat(windows.ego[:, 1:, :3]) for windows in (fit, test))
    return r2(truth, linear_readout(pairs(x), motion, pairs(x_test)))


def token_depth(
    model: ComposedModel,
    dense: Float[Tensor, "w u m e"],
    fit: Windows,
    dense_test: Float[Tensor, "w u m e"],
    test: Windows,
) -> dict[str, float]:
    """Return how well a line, the same for all places, tells a patch's depth from its token."""
    depth, known = patch_depth_m(model, fit)
    depth_test, known_test = patch_depth_m(model, test)
    x, x_test = (_flat(d[k]) for d, k in ((dense, known), (dense_test, known_test)))
    y, truth = depth[known][:, None].double().numpy(), depth_test[known_test][:, None].numpy()
    predicted = linear_readout(x, y, x_test)
    return {
        "r2_token_depth": r2(truth.astype(np.float64), predicted),
        "token_depth_rmse_m": float(np.sqrt(np.square(truth - predicted).mean())),
    }


def patch_depth_m(
    model: ComposedModel, windows: Windows
) -> tuple[Float[Tensor, "w u m"], Bool[Tensor, "w u m"]]:
    """Return the mean depth of each token's pixels, and whether at least half of them have one."""
    shape = model.encoder.shape
    image = windows.image[:, :, (_DEPTH, _HAS_DEPTH)]
    if missing := -image.shape[1] % shape.frames_per_token:
        image = torch.cat([image, image[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1)
    squashed, known = image.transpose(1, 2).split(1, dim=1)
    size = image.shape[-1] // shape.side
    block = (shape.frames_per_token, size, size)
    share = functional.avg_pool3d(known, block)
    depth = functional.avg_pool3d(to_depth_m(squashed) * known, block) / share.clamp(min=1e-6)
    return depth.flatten(3)[:, 0], share.flatten(3)[:, 0] >= _MIN_KNOWN


def squares(xy_m: Float32[np.ndarray, "*s 2"]) -> Int64[np.ndarray, "*s"]:
    """Return the number of the square of `PLACE_M` that each position lies in."""
    column, row = np.moveaxis(np.floor(xy_m / PLACE_M).astype(np.int64), -1, 0)
    return column * _COLUMN + row


def _flat(x: Tensor) -> Float64[np.ndarray, "n d"]:
    """Return all samples, one a row."""
    return x.reshape(-1, x.shape[-1]).double().numpy()
