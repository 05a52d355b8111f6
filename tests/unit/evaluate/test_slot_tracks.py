import math
from dataclasses import replace

import numpy as np
import pytest
from unit.evaluate.flatland import slot, thing

from agentd.evaluate.slot_tracks import TrackScorer, announced_same
from memory.objects.changes import Change, ChangeKind


def change(kind: ChangeKind, slot_id: int, xyz_m: np.ndarray) -> Change:
    return Change(
        event_id=1, step=5, stamp_ns=5, kind=kind, slot_id=slot_id, label="chair", xyz_m=xyz_m
    )


def test_another_slot_than_last_time_is_a_switch() -> None:
    scorer = TrackScorer()
    scorer.note_sightings([7, 8], [1, 2])
    scorer.note_sightings([7, 8], [1, 2])
    scorer.note_sightings([7, 8], [3, 2])
    scorer.note_sightings([7], [3])
    score = scorer.score()
    assert (score.num_reobservations, score.num_switches) == (5, 1)
    assert score.switches_per_100 == pytest.approx(20.0)
    assert scorer.last_slot(7) == 3
    assert scorer.last_slot(9) is None


def test_phantoms_and_dropped_slots_are_no_sightings() -> None:
    scorer = TrackScorer()
    scorer.note_sightings([7, None], [1, 2])
    scorer.note_sightings([7, None], [0, 5])
    scorer.note_sightings([7], [1])
    assert scorer.score().num_reobservations == 1
    assert scorer.score().num_switches == 0


def test_an_object_in_two_pieces_is_as_well_known_as_the_better_one() -> None:
    scorer = TrackScorer()
    scorer.note_sightings([7], [1])
    scorer.note_sightings([7, 7], [4, 1])
    assert scorer.score().num_switches == 0
    assert scorer.last_slot(7) == 1
    scorer.note_sightings([7, 7], [4, 5])
    assert scorer.score().num_switches == 1
    assert scorer.score().num_reobservations == 2


def test_what_was_announced_as_the_same_is_no_switch() -> None:
    """Seen as 1, moved and seen as 2, then the memory finds that 2 is 1."""
    scorer = TrackScorer()
    for slot_id in (1, 2, 2):
        scorer.note_sightings([7], [slot_id])
    assert scorer.score().num_switches == 1
    scorer.note_same(2, 1)
    scorer.note_sightings([7], [1])
    score = scorer.score()
    assert (score.num_switches, score.num_online_switches) == (0, 2)
    assert scorer.resolve(2) == 1


def test_announcements_form_chains_and_no_circles() -> None:
    scorer = TrackScorer()
    scorer.note_same(3, 2)
    scorer.note_same(2, 1)
    scorer.note_same(1, 3)
    assert [scorer.resolve(i) for i in (1, 2, 3, 4)] == [1, 1, 1, 4]


def test_brier_is_the_mean_squared_error_of_belief() -> None:
    """0.9 for what is there, 0.8 for a phantom, 0.1 for what is gone: (0.01 + 0.64 + 0.01) / 3."""
    scorer = TrackScorer()
    there = thing(1, "chair", 1, 1)

    def believed(p: float, x_m: float) -> object:
        return replace(slot("chair", np.array([x_m, 1.0, 0.5])), existence=math.log(p / (1 - p)))

    scorer.note_beliefs([believed(0.9, 1.0), believed(0.8, 4.0)], [there])
    scorer.note_beliefs([believed(0.1, 6.0)], [there])
    score = scorer.score()
    assert score.num_beliefs == 3
    assert score.brier == pytest.approx((0.01 + 0.64 + 0.01) / 3)


def test_nothing_seen_has_no_score() -> None:
    score = TrackScorer().score()
    assert math.isnan(score.switches_per_100)
    assert math.isnan(score.brier)


def test_a_move_names_the_heir_of_the_slot_that_stood_there() -> None:
    new = slot("chair", np.array([3.0, 3.0, 0.5]), slot_id=5)
    old = slot("chair", np.array([1.0, 1.0, 0.5]), slot_id=2)
    dropped = slot("chair", np.array([9.0, 3.0, 0.5]), slot_id=6)
    log = [
        change(ChangeKind.MOVED, 2, new.xyz_m),
        change(ChangeKind.DROPPED, 6, dropped.xyz_m),
    ]
    before = {2: old, 5: new, 6: dropped}
    assert announced_same(before, {2: replace(old, xyz_m=new.xyz_m)}, log) == [(5, 2)]


def test_a_merge_has_the_slot_that_covers_it_for_heir() -> None:
    part = slot("chair", np.array([1.0, 1.0, 0.5]), slot_id=3)
    whole = replace(slot("chair", np.array([1.1, 1.0, 0.5]), slot_id=1), extent_m=np.full(3, 0.5))
    others = [slot("chair", np.array([1.3, 1.0, 0.5]), slot_id=2), slot("bed", part.xyz_m, 4)]
    after = {s.slot_id: s for s in (whole, *others)}
    log = [change(ChangeKind.MERGED, 3, part.xyz_m)]
    assert announced_same({**after, 3: part}, after, log) == [(3, 1)]
    assert announced_same({**after, 3: part}, {4: others[1]}, log) == []
