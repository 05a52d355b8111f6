"""Whether the memory notices what changed, how soon, and how often it cries wolf.

Every change is one or two facts: something is gone from a place, something came to a place; a move
is both. The memory's log is read as claims of the same form and matched with the facts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Float64

from agentd.evaluate.slots import MATCH_M
from memory.objects.changes import Change, ChangeKind

SLACK_M = 0.1
"""A box of what was seen ends this much beside the thing."""

WITHIN_STEPS = 50
"""A fact counts as noticed if it is claimed this soon after it could be seen."""


class FactKind(StrEnum):
    """What happened at a place."""

    GONE = "gone"
    CAME = "came"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that really happened.

    Attributes:
        kind: Gone or came.
        label: Of the object.
        xyz_m: Where its centre was (gone) or is (came), world frame.
        step: When it happened.
        visible_step: First step at which the camera had shown it; None if it never did.
        extent_m: Sides of the thing's box; a claim anywhere in it means the thing.
    """

    kind: FactKind
    label: str
    xyz_m: Float64[np.ndarray, "3"]
    step: int
    visible_step: int | None
    extent_m: Float64[np.ndarray, "3"] = field(default_factory=lambda: np.zeros(3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Something that the memory says has happened."""

    kind: FactKind
    label: str
    xyz_m: Float64[np.ndarray, "3"]
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeScore:
    """Result of matching claims with facts.

    Attributes:
        num_facts: Facts that could be seen.
        num_claims: Claims.
        precision: Share of claims that are true, however late; NaN without claims.
        recall: Share of facts that were claimed within `WITHIN_STEPS` of being visible; NaN
            without facts.
        steps_to_correct: Median steps from visible to claimed, late ones too; NaN without any.
        worst_steps: The largest of them.
    """

    num_facts: int
    num_claims: int
    precision: float
    recall: float
    steps_to_correct: float
    worst_steps: float


def claims_of(changes: Sequence[Change], since_step: int = 0) -> list[Claim]:
    """Return what a log claims from a step on.

    A slot that is confirmed came, unless it was only doubted before; one that is archived is gone;
    one that moved is gone from its old place, if that was not claimed already (that it came to the
    new one was claimed when the slot there was confirmed).

    Args:
        changes: The whole log, oldest first: what was confirmed before `since_step` counts.
        since_step: Claims before it are left out: the place was new then, and everything came.
    """
    believed: set[int] = set()
    claims = []
    for change in changes:
        kind, xyz_m = None, change.xyz_m
        known = change.slot_id in believed
        if change.kind is ChangeKind.CONFIRMED:
            believed.add(change.slot_id)
            kind = None if known else FactKind.CAME
        elif change.kind in (ChangeKind.ARCHIVED, ChangeKind.MERGED):
            believed.discard(change.slot_id)
            kind = FactKind.GONE if known and change.kind is ChangeKind.ARCHIVED else None
        elif change.kind is ChangeKind.MOVED and change.from_xyz_m is not None:
            believed.add(change.slot_id)
            kind, xyz_m = (FactKind.GONE if known else None), change.from_xyz_m
        if kind is not None and change.step >= since_step:
            claims.append(Claim(kind=kind, label=change.label, xyz_m=xyz_m, step=change.step))
    return claims


def score_changes(
    facts: Sequence[Fact],
    claims: Sequence[Claim],
    *,
    within_steps: int = WITHIN_STEPS,
    match_m: float = MATCH_M,
) -> ChangeScore:
    """Match claims with facts one to one, the earliest claim with the nearest fact, and count.

    A claim is true if its kind and label agree, its place is within `match_m` of the thing's
    centre or within its sides (of large things mostly a part is seen), and the fact had happened.
    A fact that the camera never showed costs no recall.
    """
    waiting = list(facts)
    delays: list[int] = []
    num_true = 0
    for claim in sorted(claims, key=lambda claim: claim.step):
        near = [(_apart_m(claim, fact, match_m), i) for i, fact in enumerate(waiting)]
        apart_m, best = min(near, default=(math.inf, -1))
        if math.isinf(apart_m):
            continue
        fact = waiting.pop(best)
        num_true += 1
        if fact.visible_step is not None:
            delays.append(max(0, claim.step - fact.visible_step))
    num_facts = sum(fact.visible_step is not None for fact in facts)
    return ChangeScore(
        num_facts=num_facts,
        num_claims=len(claims),
        precision=num_true / len(claims) if claims else math.nan,
        recall=sum(d <= within_steps for d in delays) / num_facts if num_facts else math.nan,
        steps_to_correct=float(np.median(delays)) if delays else math.nan,
        worst_steps=float(max(delays)) if delays else math.nan,
    )


def is_at(
    xyz_m: Float64[np.ndarray, "3"],
    thing_m: Float64[np.ndarray, "3"],
    extent_m: Float64[np.ndarray, "3"],
    match_m: float = MATCH_M,
) -> bool:
    """Return whether a place is near the centre of a thing or within its sides."""
    off = np.abs(xyz_m - thing_m)
    return bool(np.linalg.norm(off) <= match_m or (off[:2] <= extent_m[:2] / 2 + SLACK_M).all())


def _apart_m(claim: Claim, fact: Fact, match_m: float) -> float:
    """Return how far a claim is from a fact; infinite if it cannot mean it."""
    if claim.kind != fact.kind or claim.label != fact.label or claim.step < fact.step:
        return math.inf
    if not is_at(claim.xyz_m, fact.xyz_m, fact.extent_m, match_m):
        return math.inf
    return float(np.linalg.norm(claim.xyz_m - fact.xyz_m))
