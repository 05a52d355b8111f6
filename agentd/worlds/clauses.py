"""What the clauses of the World contract measure with: each failure says the rule in words."""

from dataclasses import fields

import numpy as np
from jaxtyping import Float64

from memory.frames import body_pose
from memory.records import Action, BodySpec, Observation

SENSED = ("rgb", "depth_m", "instances", "T_world_camera", "egomotion")
"""Arrays of an observation."""
_SLACK = 1 + 1e-6


class BrokenClauseError(AssertionError):
    """The body does not keep a clause; the message says which, and what it did instead."""


def must(holds: bool, rule: str) -> None:
    """Refuse what breaks a rule.

    Raises:
        BrokenClauseError: With the rule, if it does not hold.
    """
    if not holds:
        raise BrokenClauseError(rule)


def must_be_same(a: Observation, b: Observation, rule: str, *, stamps: bool = False) -> None:
    """Refuse observations that differ, in their stamps too where asked."""
    must(not stamps or a.stamp_ns == b.stamp_ns, f"{rule}: stamps {a.stamp_ns} and {b.stamp_ns}")
    must(a.labels == b.labels, f"{rule}: labels {a.labels} and {b.labels}")
    must(a.bumped == b.bumped, f"{rule}: bumped {a.bumped} and {b.bumped}")
    for name in SENSED:
        one, other = getattr(a, name), getattr(b, name)
        if one is None or other is None:
            must(one is other, f"{rule}: one of them has no {name}")
            continue
        same = np.array_equal(one, other, equal_nan=name == "depth_m")
        must(same, f"{rule}: {name} differs")


def draw_actions(spec: BodySpec, count: int, seed: int) -> list[Action]:
    """Return commands within the limits, mostly forwards."""
    rng = np.random.default_rng(seed)
    v, w = rng.uniform(-0.3, 1, count), rng.uniform(-1, 1, count)
    return [
        Action(
            v_mps=float(a) * spec.v_max_mps,
            w_radps=float(b) * spec.w_max_radps,
            duration_s=spec.tick_s,
            source="planner",
        )
        for a, b in zip(v, w, strict=True)
    ]


def pose_of(observation: Observation, spec: BodySpec) -> Float64[np.ndarray, "3"]:
    """Return x_m, y_m, yaw_rad of the body."""
    return np.asarray(body_pose(observation.T_world_camera, spec), dtype=np.float64)


def check_spec(spec: BodySpec) -> None:
    """Refuse a body that cannot be."""
    must(isinstance(spec, BodySpec), f"spec is a BodySpec, not a {type(spec).__name__}")
    for field in fields(BodySpec):
        value = getattr(spec, field.name)
        if field.name in ("name", "T_body_camera"):
            continue
        is_sound = bool(np.isfinite(value)) and value > 0
        must(is_sound, f"spec.{field.name} is a positive number, not {value!r}")
    _check_rigid("spec.T_body_camera", spec.T_body_camera)


def _check_rigid(name: str, T: Float64[np.ndarray, "4 4"]) -> None:
    found = np.asarray(T)
    must(found.shape == (4, 4), f"{name} has shape (4, 4), not {found.shape}")
    must(found.dtype == np.float64, f"{name} is float64, not {found.dtype}")
    R = found[:3, :3]
    is_rigid = np.allclose(R @ R.T, np.eye(3), atol=1e-6) and np.linalg.det(R) > 0
    must(bool(is_rigid), f"{name} is a rotation and a translation; its rotation is {R.tolist()}")


def _check_array(name: str, found: object, shape: tuple[int, ...], kind: type) -> None:
    must(isinstance(found, np.ndarray), f"{name} is an array, not a {type(found).__name__}")
    array = np.asarray(found)
    must(array.shape == shape, f"{name} has the shape of the spec, {shape}, not {array.shape}")
    must(array.dtype == kind, f"{name} is {np.dtype(kind)}, not {array.dtype}")


def check_observation(seen: Observation, spec: BodySpec) -> None:
    """Refuse shapes, types and ranges that are not those of the spec and the records."""
    shape = (spec.height_px, spec.width_px)
    _check_array("rgb", seen.rgb, (*shape, 3), np.uint8)
    _check_array("depth_m", seen.depth_m, shape, np.float32)
    depth = seen.depth_m[~np.isnan(seen.depth_m)]
    if depth.size:
        low, high = float(depth.min()), float(depth.max())
        must(low > 0, f"depth_m is above 0, or NaN where nothing returned; found {low}")
        limit = spec.depth_max_m * _SLACK
        must(high <= limit, f"depth_m is at most spec.depth_max_m, {spec.depth_max_m}, not {high}")
    _check_rigid("T_world_camera", seen.T_world_camera)
    _check_array("egomotion", seen.egomotion, (3,), np.float32)
    must(bool(np.isfinite(seen.egomotion).all()), f"egomotion is finite, not {seen.egomotion}")
    # The types of numpy have names like those of Python.
    must(isinstance(seen.bumped, bool), f"bumped is a plain bool, not {type(seen.bumped)}")
    must(isinstance(seen.stamp_ns, int), f"stamp_ns is a plain int, not {type(seen.stamp_ns)}")
    is_charge = np.isnan(seen.battery) or 0 <= seen.battery <= 1
    must(bool(is_charge), f"battery is 0 to 1, or NaN where unknown, not {seen.battery}")
    if seen.instances is None:
        return
    _check_array("instances", seen.instances, shape, np.int32)
    must(seen.labels[:1] == ("",), f"labels[0] is '', for nothing; labels are {seen.labels}")
    must(all(seen.labels[1:]), f"every instance has a label; labels are {seen.labels}")
    present = {int(number) for number in np.unique(seen.instances)} | {0}
    named = set(range(len(seen.labels)))
    must(present == named, f"labels name the instances: {len(named)} labels for {present}")


def check_applied(asked: Action, applied: Action, spec: BodySpec, *, obeys: bool = True) -> None:
    """Refuse an applied action that the body cannot have carried out, or not when so asked."""
    numbers = (applied.v_mps, applied.w_radps, applied.duration_s)
    must(bool(np.isfinite(numbers).all()), f"the applied action is finite, not {applied}")
    limits = (
        ("v_mps", asked.v_mps, applied.v_mps, spec.v_max_mps),
        ("w_radps", asked.w_radps, applied.w_radps, spec.w_max_radps),
    )
    for name, wanted, done, most in limits:
        must(
            abs(done) <= most * _SLACK,
            f"the applied action is what the body did: {name} {wanted:g} was asked, its limit is "
            f"{most:g}, reported was {done:g}",
        )
        must(
            not obeys or done * wanted >= 0,
            f"{name} {wanted:g} was asked; applied is the opposite, {done:g}",
        )
    must(applied.duration_s > 0, f"duration_s is positive, not {applied.duration_s}")
    must(
        not obeys or applied.source == asked.source,
        f"the applied action keeps its source, {asked.source}, not {applied.source}",
    )
