"""Where things were, after moves, merges and compactions."""

from pathlib import Path

import numpy as np
import pytest
from fakes_memory import SPEC, Box, look_at, observe

from memory.config import ObjectConfig
from memory.objects.changes import Change, ChangeKind
from memory.objects.memory import SlotMemory
from memory.objects.timeline import Timeline, read_timeline
from memory.records import SlotState
from memory.schema import EVENTS
from memory.search.query import SlotQuery
from memory.tables import open_table

S = 1_000_000_000


def change(event_id: int, kind: ChangeKind, slot_id: int, x_m: float, **more: object) -> Change:
    return Change(
        event_id=event_id,
        step=event_id,
        stamp_ns=event_id * S,
        kind=kind,
        slot_id=slot_id,
        label="chair" if slot_id < 5 else "table",
        xyz_m=np.array([x_m, 0.0, 0.5]),
        **more,  # type: ignore[arg-type]
    )


LOG = [
    change(1, ChangeKind.CREATED, 1, 1.0),
    change(2, ChangeKind.CONFIRMED, 1, 1.1),
    change(3, ChangeKind.CREATED, 2, 1.2),
    change(4, ChangeKind.MERGED, 2, 1.2, other_id=1),
    change(5, ChangeKind.CREATED, 5, 7.0),
    change(6, ChangeKind.ARCHIVED, 1, 1.1),
    change(7, ChangeKind.CREATED, 3, 4.0),
    change(8, ChangeKind.CONFIRMED, 3, 4.0),
    change(9, ChangeKind.MOVED, 1, 4.0, from_xyz_m=np.array([1.1, 0, 0.5]), other_id=3),
    change(10, ChangeKind.DROPPED, 5, 7.0),
]


def at(slot_id: int, second: float) -> tuple[int, float, SlotState] | None:
    past = Timeline(LOG).state_at(slot_id, int(second * S))
    return None if past is None else (past.slot_id, float(past.xyz_m[0]), past.state)


def test_a_slot_is_where_the_last_entry_before_that_time_says() -> None:
    assert at(1, 0.5) is None
    assert at(1, 1) == (1, 1.0, SlotState.TENTATIVE)
    assert at(1, 5) == (1, 1.1, SlotState.CONFIRMED)
    assert at(1, 6.5) == (1, 1.1, SlotState.ARCHIVED)
    assert at(1, 99) == (1, 4.0, SlotState.CONFIRMED)


def test_what_was_merged_or_found_again_goes_on_under_another_id() -> None:
    timeline = Timeline(LOG)
    assert [timeline.now_id(i) for i in (1, 2, 3, 5, 8)] == [1, 1, 1, None, 8]
    assert at(2, 3.5) == (2, 1.2, SlotState.TENTATIVE)
    assert at(2, 4) is None
    assert at(3, 8) == (3, 4.0, SlotState.CONFIRMED)
    assert at(3, 9) is None


def test_what_was_known_under_another_id_is_found_under_todays() -> None:
    log = [change(1, ChangeKind.CREATED, 2, 1.2), *LOG[3:4], change(5, ChangeKind.CREATED, 1, 1.0)]
    past = Timeline(log).state_at(1, 2 * S)
    assert past is not None
    assert (past.slot_id, past.now_id) == (2, 1)


def test_everything_at_a_time() -> None:
    timeline = Timeline(LOG)
    assert [p.slot_id for p in timeline.slots_at(3 * S)] == [1, 2]
    assert [p.slot_id for p in timeline.slots_at(8 * S)] == [1, 3, 5]
    assert [p.slot_id for p in timeline.slots_at(99 * S)] == [1]
    found = timeline.slots_at(8 * S, SlotQuery(text="chairs", near_xy_m=(4.0, 0.0), radius_m=1.0))
    assert [(p.slot_id, p.created_ns, p.since_ns) for p in found] == [(3, 7 * S, 8 * S)]
    archived = SlotQuery(states=(SlotState.ARCHIVED,))
    assert [p.slot_id for p in timeline.slots_at(8 * S, archived)] == [1]


@pytest.mark.parametrize("query", [SlotQuery(room=1), SlotQuery(last_seen_ns=(1, None))])
def test_the_past_is_not_asked_for_what_the_log_does_not_hold(query: SlotQuery) -> None:
    with pytest.raises(ValueError, match="the past is asked"):
        Timeline(LOG).slots_at(1, query)


def test_a_moved_object_of_a_life_is_where_it_was(tmp_path: Path) -> None:
    here = Box(label="chair", xyz_m=(2.0, 0.0, 0.45), extent_m=(0.5, 0.5, 0.9))
    there = Box(label="chair", xyz_m=(2.0, 6.0, 0.45), extent_m=(0.5, 0.5, 0.9))
    memory = SlotMemory(tmp_path, ObjectConfig(), SPEC)
    for step in range(30):
        boxes, target = ([here], 0.0) if step < 10 else ([there], 0.0 if step < 20 else 6.0)
        pose = look_at((0.0, target), (2.0, target))
        memory.update(*observe(boxes, pose, step * S), step)
        memory.flush()
    table = open_table(tmp_path, EVENTS)
    assert table is not None
    table.optimize(cleanup_older_than=None)
    timeline = read_timeline(tmp_path)
    moved = [c for c in memory.changes() if c.kind is ChangeKind.MOVED]
    assert [(c.slot_id, c.other_id) for c in moved] == [(1, 2)]
    before, now = timeline.state_at(1, 9 * S), timeline.state_at(1, 29 * S)
    assert before is not None
    assert now is not None
    assert abs(before.xyz_m[1]) < 0.2
    assert abs(now.xyz_m[1] - 6.0) < 0.2
    assert timeline.now_id(2) == 1
