"""A small life on disk with everything that an export tells; its values follow from its steps."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from fake_life import born
from fakes_memory import SPEC, observe
from fakes_stored import BOXES

from agentd.body_record import record_body
from agentd.home import Home
from memory.config import ObjectConfig, ReplayConfig
from memory.frames import compose
from memory.objects.memory import SlotMemory
from memory.records import NUM_OBJECTS, OBJECT_FEATURES, Action, Transition
from memory.replay.store import LanceReplay

START_NS = 1_796_000_000_000_000_000
TICK_NS = 200_000_000
V_MPS, W_RADPS = 0.1, 0.05
EPISODES = ((0, 30), (30, 50))
"""First step and end of each."""
HOLE = range(40, 43)
"""Steps that the second episode lacks, as if retention had dropped them."""
SAFE_STEP, MODEL_STEP = 12, 35
CHECKPOINT = "ckpt-00001"
STEPS = [step for first, end in EPISODES for step in range(first, end) if step not in HOLE]


def pose_at(step: int) -> np.ndarray:
    """Return where the body is: on an arc."""
    motion = (V_MPS * SPEC.tick_s, 0.0, W_RADPS * SPEC.tick_s)
    pose = np.array([-1.0, 0.0, -0.1])
    for _ in range(step):
        pose = compose(pose, np.array(motion))
    return pose


def stamp_at(step: int) -> int:
    """Return when a step is."""
    return START_NS + step * TICK_NS


def rows_of(first: int, end: int, episode_id: int, slots: SlotMemory | None) -> list[Transition]:
    """Return the rows of an episode, seen by an object memory on the way."""
    rows = []
    for step in range(first, end):
        if step in HOLE:
            continue
        seen, detections = observe(BOXES, pose_at(step), stamp_at(step))
        motion = np.array([V_MPS * SPEC.tick_s, 0.0, W_RADPS * SPEC.tick_s], dtype=np.float32)
        object_slots = np.zeros(NUM_OBJECTS, dtype=np.int32)
        if slots is not None:
            ids = list(slots.update(seen, detections, step))
            object_slots[: len(ids)] = ids
        is_safe = step == SAFE_STEP
        rows.append(
            Transition(
                step=step,
                episode_id=episode_id,
                observation=replace(seen, egomotion=motion, bumped=is_safe),
                action=Action(
                    v_mps=0.0 if is_safe else V_MPS,
                    w_radps=W_RADPS,
                    duration_s=SPEC.tick_s,
                    source="safety" if is_safe else "explorer",
                ),
                pose=pose_at(step).astype(np.float32),
                objects=np.zeros((NUM_OBJECTS, len(OBJECT_FEATURES)), dtype=np.float32),
                object_slots=object_slots,
                is_first=step == first,
                is_last=step == end - 1,
                is_terminal=False,
                surprise=0.5 * step if step >= MODEL_STEP else float("nan"),
                checkpoint_id=CHECKPOINT if step >= MODEL_STEP else "",
            )
        )
    return rows


def event(step: int, kind: str, text: str) -> str:
    """Return a line of the log of events."""
    row = {"n": step, "step": step, "stamp_ns": 7 + step, "kind": kind, "text": text}
    return json.dumps(row) + "\n"


CHAPTER = {
    "step": 20,
    "until_step": 24,
    "stamp_ns": stamp_at(20),
    "xy_m": [0.0, 0.0],
    "mode": "goto",
    "reason": "chair #1 remembered 2.0 m away",
    "ended": "reached: chair #1 seen",
    "chosen": {"kind": "slot", "name": "chair #1", "xy_m": [2.0, -0.8], "slot_id": 1, "note": ""},
    "others": [{"kind": "frontier", "name": "frontier", "xy_m": [0.0, 3.0], "note": "opens 2 m2"}],
    "refused": [{"name": "chair #2", "reason": "not reachable"}],
}
GOAL = {
    "goal_id": "g1",
    "kind": "object",
    "label": "chair",
    "xy_m": None,
    "deadline_steps": None,
    "origin": "operator",
    "state": "reached",
    "reason": "chair #1 seen",
    "steps": 5,
    "path_m": 0.1,
    "story": [CHAPTER],
}


def exported_life(path: Path) -> Home:
    """Make a life of 47 steps in 2 episodes that remembers 2 objects and reached a goal."""
    home = born(path)
    for folder in (home.memory_folder, home.state_folder, home.log_folder):
        folder.mkdir(exist_ok=True)
    record_body(home, SPEC)
    replay = LanceReplay(home.memory_folder, ReplayConfig())
    slots = SlotMemory(home.memory_folder, ObjectConfig(), SPEC)
    for episode_id, (first, end) in enumerate(EPISODES):
        replay.append(rows_of(first, end, episode_id, slots))
    slots.flush()
    replay.close()
    lines = [
        event(0, "life", "born"),
        event(0, "mode", "explore: looks around"),
        event(20, "mode", "goto: chair #1 remembered 2.0 m away"),
        event(24, "goal", "g1 (chair) reached after 5 steps: chair #1 seen"),
        event(30, "safety", "100 commands held back so far"),
        event(34, "learning", f"{CHECKPOINT} acts from the next episode on"),
        event(50, "life", "draining"),
    ]
    (home.log_folder / "events.jsonl").write_text("".join(lines))
    state = {"format": 1, "step": 50, "goals": [GOAL]}
    (home.state_folder / "life_state.json").write_text(json.dumps(state))
    return home
