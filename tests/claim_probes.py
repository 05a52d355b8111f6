"""What recipes claim, judged clip by clip, so that two models can be compared with an interval.

Axis letters: w clips, n samples of a clip, s all samples, q numbers that are told, c kinds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from learners.batch import Scale, Windows, to_windows
from learners.losses.forward import Forward
from learners.losses.next_view import gathered
from learners.parts.kinds import Encoded, Shape
from learners.probes import area_under_curve, r2
from learners.recipes.dense_probes import encode, frame_features, linear_readout, patch_depth_m
from learners.recipes.model import ComposedModel
from learners.recipes.view_probes import relative_pose_pairs
from memory.protocols import ReplayStore

_RARE = 0.02
_FEWER = 3
"""One clip in this many is enough where every patch is judged."""


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips of training and of held-out episodes, the same for all that is compared."""

    fit: Windows
    test: Windows
    fit_pose: np.ndarray
    test_pose: np.ndarray
    kinds: tuple[tuple[int, ...], ...]
    """Slots of each kind of object."""
    place_of: Callable[[np.ndarray], np.ndarray]
    """From positions in metres (.. 2) to numbers of places."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a probe told of held-out clips, beside the truth, and how that is scored."""

    told: np.ndarray
    truth: np.ndarray
    score: Callable[[np.ndarray, np.ndarray], float]

    def value(self, clips: np.ndarray | None = None) -> float:
        """Return the score of all or of some clips."""
        chosen = slice(None) if clips is None else clips
        told, truth = self.told[chosen], self.truth[chosen]
        return self.score(told.reshape(-1, told.shape[-1]), truth.reshape(-1, truth.shape[-1]))


def draw(
    replay: ReplayStore,
    scale: Scale,
    num_fit: int,
    num_test: int,
    frames: int,
    seed: int,
    kinds: Sequence[Sequence[int]],
    place_of: Callable[[np.ndarray], np.ndarray],
) -> Clips:
    """Draw clips."""
    rng = np.random.default_rng(seed)
    fit = replay.sample(num_fit, frames, rng)
    test = replay.sample(num_test, frames, rng, held_out=True)
    return Clips(
        fit=to_windows(fit, scale, rng),
        test=to_windows(test, scale, rng),
        fit_pose=fit.pose,
        test_pose=test.pose,
        kinds=tuple(tuple(slots) for slots in kinds),
        place_of=place_of,
    )


def rooms(model: ComposedModel, clips: Clips) -> Judged:
    """Judge the place of each frame."""
    fit, test = _features(model, clips)
    return _told_places(fit, clips.fit_pose, test, clips.test_pose, clips)


def objects(model: ComposedModel, clips: Clips) -> Judged:
    """Judge which kinds of objects are in view."""
    fit, test = _features(model, clips)
    return _told_kinds(fit, _in_view(clips.fit, clips), test, _in_view(clips.test, clips))


def egomotion(model: ComposedModel, clips: Clips) -> Judged:
    """Judge the motion between the frames that one tubelet spans; both frames are described."""

    def pairs(x: torch.Tensor) -> np.ndarray:
        return _numpy(torch.cat([x[:, :-1:2], x[:, 1::2]], dim=-1))

    def motion(windows: Windows) -> np.ndarray:
        return _numpy(windows.ego[:, 1::2, :3])

    fit, test = _features(model, clips)
    return _told_numbers(pairs(fit), motion(clips.fit), pairs(test), motion(clips.test))


@torch.inference_mode()
def token_depth(model: ComposedModel, clips: Clips) -> Judged:
    """Judge the mean depth of each patch; patches without one count as far as the mean."""
    (fit, known, y), (test, known_test, truth) = (
        (_dense(encode(model, windows)), *_depths(model, windows))
        for windows in (clips.fit, clips.test)
    )
    told = linear_readout(fit[known], y[known], test.reshape(-1, test.shape[-1]))
    told = told.reshape(truth.shape)
    told[~known_test] = truth[~known_test] = y[known].mean()
    return Judged(told=told, truth=truth, score=lambda a, b: r2(b, a))


@torch.inference_mode()
def token_objects(model: ComposedModel, clips: Clips) -> Judged:
    """Judge which kind of object each patch shows."""
    shape: Shape = model.encoder.shape
    clips = replace(clips, test=_some(clips.test, len(clips.test.image) // _FEWER))
    fit, test = (_dense(encode(model, windows)) for windows in (clips.fit, clips.test))
    shown, shown_test = (
        patch_kinds(shape, windows, clips.kinds).flatten(1, 2).numpy()
        for windows in (clips.fit, clips.test)
    )
    return _told_kinds(fit, shown, test, shown_test)


@torch.inference_mode()
def relative_pose(model: ComposedModel, clips: Clips) -> Judged:
    """Judge way and turn between two views."""
    z, z_test = (encode(model, windows).z for windows in (clips.fit, clips.test))
    x, y, x_test, truth = relative_pose_pairs(z, clips.fit_pose, z_test, clips.test_pose)
    told = linear_readout(x, y, x_test)
    count = len(clips.test.image)
    return Judged(
        told=told.reshape(count, -1, told.shape[-1]),
        truth=truth.reshape(count, -1, truth.shape[-1]),
        score=lambda a, b: r2(b, a),
    )


def gathered_place(model: ComposedModel, clips: Clips, view: int) -> Judged:
    """Judge the place of frame `view` from a sequence that ends there."""
    first = view - (model.aggregate.views - 1) * model.aggregate.stride
    model.eval()
    with torch.inference_mode():
        fit, test = (
            gathered(Forward(model, windows, torch.Generator())).z[:, first : first + 1]
            for windows in (clips.fit, clips.test)
        )
    at = slice(view, view + 1)
    pose, pose_test = clips.fit_pose[:, at], clips.test_pose[:, at]
    return _told_places(fit, pose, test, pose_test, clips)


def patch_kinds(
    shape: Shape, windows: Windows, kinds: Sequence[Sequence[int]]
) -> Bool[Tensor, "w u m c"]:
    """Return which kinds each token shows in any of its frames."""
    middle = (torch.arange(shape.side) + 0.5) / shape.side
    y, x = (axis.flatten() for axis in torch.meshgrid(middle, middle, indexing="ij"))
    x0, y0, x1, y1 = windows.geometry[..., slice(0, 4), None].unbind(dim=-2)
    inside = (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1) & windows.valid[..., None]
    of_kind = torch.stack(
        [torch.isin(windows.slots, torch.tensor(list(slots))) for slots in kinds], dim=-1
    )
    shown = (inside[..., None] & of_kind[..., None, :]).any(dim=2)
    span = shape.frames_per_token
    if missing := -shown.shape[1] % span:
        shown = torch.cat([shown, shown[:, -1:].expand(-1, missing, -1, -1)], dim=1)
    return shown.unflatten(1, (-1, span)).any(dim=2)


def _told_places(
    fit: torch.Tensor, pose: np.ndarray, test: torch.Tensor, pose_test: np.ndarray, clips: Clips
) -> Judged:
    place, place_test = (clips.place_of(p[..., :2]) for p in (pose, pose_test))
    known = np.unique(place)
    y, truth = ((p[..., None] == known).astype(np.float64) for p in (place, place_test))
    rows = y.reshape(-1, len(known))
    told = linear_readout(_rows(fit), rows, _rows(test))
    # Places are visited unevenly; centred on its share, a rare one is not outvoted.
    told = (told - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-6)
    return Judged(told=told.reshape(truth.shape), truth=truth, score=_mean_recall)


def _told_kinds(
    fit: torch.Tensor | np.ndarray,
    y: np.ndarray,
    test: torch.Tensor | np.ndarray,
    truth: np.ndarray,
) -> Judged:
    shares = [part.reshape(-1, part.shape[-1]).mean(axis=0) for part in (y, truth)]
    few = _RARE if y.shape[1] < 32 else _RARE / 10  # of many patches a kind covers but few
    judged = np.all([(share >= few) & (share <= 1 - few) for share in shares], axis=0)
    rows = y[..., judged].reshape(-1, judged.sum()).astype(np.float64)
    told = linear_readout(_rows(fit), rows, _rows(test))
    truth = truth[..., judged]
    return Judged(told=told.reshape(truth.shape), truth=truth, score=_mean_area)


def _told_numbers(fit: np.ndarray, y: np.ndarray, test: np.ndarray, truth: np.ndarray) -> Judged:
    told = linear_readout(_rows(fit), _rows(y), _rows(test))
    return Judged(told=told.reshape(truth.shape), truth=truth, score=lambda a, b: r2(b, a))


def _mean_recall(told: np.ndarray, truth: np.ndarray) -> float:
    answers = told.argmax(axis=1)
    seen = np.flatnonzero(truth.any(axis=0))
    return float(np.mean([(answers[truth[:, p] > 0] == p).mean() for p in seen]))


def _mean_area(told: np.ndarray, truth: np.ndarray) -> float:
    areas = [area_under_curve(a, b) for a, b in zip(told.T, truth.T, strict=True)]
    return float(np.mean([area for area in areas if area is not None]))


def _features(model: ComposedModel, clips: Clips) -> list[Float[torch.Tensor, "w t e"]]:
    model.eval()
    with torch.inference_mode():
        return [frame_features(encode(model, x), x) for x in (clips.fit, clips.test)]


def _in_view(windows: Windows, clips: Clips) -> np.ndarray:
    seen = [torch.isin(windows.slots, torch.tensor(slots)).any(dim=-1) for slots in clips.kinds]
    return torch.stack(seen, dim=-1).numpy()


def _depths(model: ComposedModel, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    depth, known = patch_depth_m(model, windows)
    return known.flatten(1).numpy(), _numpy(depth.flatten(1)[..., None])


def _some(windows: Windows, count: int) -> Windows:
    names = ("image", "ego", "action", "command", "geometry", "valid", "slots")
    return Windows(**{name: getattr(windows, name)[:count] for name in names})


def _dense(encoded: Encoded) -> np.ndarray:
    assert encoded.dense is not None
    return _numpy(encoded.dense.flatten(1, 2))


def _rows(x: torch.Tensor | np.ndarray) -> np.ndarray:
    x = _numpy(x) if isinstance(x, torch.Tensor) else x
    return x.reshape(-1, x.shape[-1])


def _numpy(x: torch.Tensor) -> np.ndarray:
    return x.double().numpy()
