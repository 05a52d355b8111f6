import math

import numpy as np
import pytest

from agentd.evaluate.slot_changes import Claim, Fact, FactKind, claims_of, score_changes
from memory.objects.changes import Change, ChangeKind

HERE, THERE = np.array([1.0, 1.0, 0.5]), np.array([4.0, 1.0, 0.5])


def entry(
    event_id: int,
    kind: ChangeKind,
    slot_id: int,
    step: int,
    xyz_m: np.ndarray = HERE,
    from_xyz_m: np.ndarray | None = None,
) -> Change:
    return Change(
        event_id=event_id,
        step=step,
        stamp_ns=step,
        kind=kind,
        slot_id=slot_id,
        label="chair",
        xyz_m=xyz_m,
        from_xyz_m=from_xyz_m,
    )


def fact(kind: FactKind, step: int, visible_step: int | None, xyz_m: np.ndarray = HERE) -> Fact:
    return Fact(kind=kind, label="chair", xyz_m=xyz_m, step=step, visible_step=visible_step)


def claim(kind: FactKind, step: int, xyz_m: np.ndarray = HERE, label: str = "chair") -> Claim:
    return Claim(kind=kind, label=label, xyz_m=xyz_m, step=step)


def told(log: list[Change], since_step: int = 0) -> list[tuple[FactKind, int, float]]:
    return [(c.kind, c.step, float(c.xyz_m[0])) for c in claims_of(log, since_step)]


def test_confirmed_came_and_archived_is_gone() -> None:
    log = [
        entry(1, ChangeKind.CREATED, 1, 0),
        entry(2, ChangeKind.CONFIRMED, 1, 2),
        entry(3, ChangeKind.SUSPECT, 1, 10),
        entry(4, ChangeKind.CONFIRMED, 1, 11),
        entry(5, ChangeKind.SUSPECT, 1, 20),
        entry(6, ChangeKind.ARCHIVED, 1, 21),
        entry(7, ChangeKind.CONFIRMED, 1, 30),
    ]
    assert told(log) == [
        (FactKind.CAME, 2, 1.0),
        (FactKind.GONE, 21, 1.0),
        (FactKind.CAME, 30, 1.0),
    ]
    assert told(log, since_step=5) == [(FactKind.GONE, 21, 1.0), (FactKind.CAME, 30, 1.0)]


def test_a_move_is_claimed_once_whatever_was_noticed_first() -> None:
    start = [entry(1, ChangeKind.CONFIRMED, 1, 2), entry(2, ChangeKind.CONFIRMED, 2, 20, THERE)]
    move = entry(4, ChangeKind.MOVED, 1, 26, THERE, HERE)
    came = (FactKind.CAME, 20, 4.0)
    archived = [*start, entry(3, ChangeKind.ARCHIVED, 1, 25), move]
    assert told(archived, 10) == [came, (FactKind.GONE, 25, 1.0)]
    doubted = [*start, entry(3, ChangeKind.SUSPECT, 1, 24), move]
    assert told(doubted, 10) == [came, (FactKind.GONE, 26, 1.0)]
    again = [*archived, entry(5, ChangeKind.ARCHIVED, 1, 40, THERE)]
    assert told(again, 30) == [(FactKind.GONE, 40, 4.0)]


def test_parts_that_are_merged_and_phantoms_that_are_dropped_claim_nothing() -> None:
    log = [
        entry(1, ChangeKind.CONFIRMED, 1, 2),
        entry(2, ChangeKind.MERGED, 1, 10),
        entry(3, ChangeKind.CREATED, 2, 11),
        entry(4, ChangeKind.DROPPED, 2, 12),
    ]
    assert told(log, 5) == []


def test_claims_are_matched_by_kind_label_place_and_time() -> None:
    facts = [fact(FactKind.GONE, 10, 12)]
    assert score_changes(facts, [claim(FactKind.GONE, 15)]).recall == 1.0
    for wrong in (
        claim(FactKind.CAME, 15),
        claim(FactKind.GONE, 15, label="stool"),
        claim(FactKind.GONE, 15, np.array([1.51, 1.0, 0.5])),
        claim(FactKind.GONE, 9),
    ):
        score = score_changes(facts, [wrong])
        assert (score.precision, score.recall) == (0.0, 0.0)
        assert math.isnan(score.steps_to_correct)


def test_steps_are_counted_from_when_the_change_could_be_seen() -> None:
    facts = [
        fact(FactKind.GONE, 10, 20),
        fact(FactKind.CAME, 10, 30, THERE),
        fact(FactKind.GONE, 10, 40, THERE),
    ]
    claims = [
        claim(FactKind.GONE, 24),
        claim(FactKind.CAME, 32, THERE),
        claim(FactKind.GONE, 100, THERE),
        claim(FactKind.GONE, 101, THERE),
    ]
    score = score_changes(facts, claims)
    assert (score.num_facts, score.num_claims) == (3, 4)
    assert score.precision == pytest.approx(3 / 4)
    assert score.recall == pytest.approx(2 / 3)
    assert (score.steps_to_correct, score.worst_steps) == (4.0, 60.0)


def test_what_the_camera_never_showed_costs_no_recall() -> None:
    facts = [fact(FactKind.GONE, 10, None), fact(FactKind.CAME, 10, 15, THERE)]
    score = score_changes(facts, [claim(FactKind.CAME, 14, THERE)])
    assert (score.num_facts, score.recall, score.steps_to_correct) == (1, 1.0, 0.0)
    guessed = score_changes(facts[:1], [claim(FactKind.GONE, 12)])
    assert guessed.precision == 1.0
    assert math.isnan(guessed.recall)


def test_a_memory_that_says_nothing_has_no_precision() -> None:
    score = score_changes([], [])
    assert math.isnan(score.precision)
    assert math.isnan(score.recall)
