"""The status of a life in words."""

from typing import Any

from agentd.commands.output import duration


def status_lines(status: dict[str, Any]) -> list[str]:
    """Return the result of the command `status` as lines for people."""
    life, steps, memory = status["life"], status["steps"], status["memory"]
    slots, health = memory["slots"], status["health"]
    pause = ", paused" if steps["paused"] else ""
    lines = [
        f"life      {life['name']} in {life['home']} (process {life['pid']}, "
        f"{life['place']}), up {duration(life['uptime_s'])}",
        f"steps     {steps['total']} ({steps['this_run']} in this run), "
        f"{steps['per_s']:.1f}/s at pace {steps['pace']}, "
        f"{steps['missed_ticks']} ticks missed{pause}",
        f"doing     {_doing(status['doing'])}",
        f"map       {status['map']['explored_m2']:.1f} m2 seen",
        f"objects   {slots['confirmed']} confirmed, {slots['tentative']} tentative, "
        f"{slots['suspect']} suspect, {slots['archived']} archived; {memory['views']} views",
        f"memory    {memory['rows_committed']} rows, {memory['disk_bytes'] / 1e6:.1f} MB on disk"
        f"{_waiting(memory)}",
        f"learning  {_learning(status['learning'])}",
    ]
    lines += _guardian(status.get("guardian") or {})
    lines += _care(status.get("care") or {})
    waiting = [goal for goal in status["goals"] if goal["state"] in ("active", "queued")]
    lines += [f"goal      {goal_line(goal)}" for goal in waiting]
    if health["last_error"]:
        lines.append(f"error     {health['last_error']}")
    return lines


def goal_line(goal: dict[str, Any]) -> str:
    """Return one goal in words."""
    said = goal["reason"] or goal.get("doing", "")
    reason = f": {said}" if said else ""
    return (
        f"{goal['goal_id']} {goal['kind']} {goal['label']}, {goal['state']}, "
        f"{goal['steps']} steps{reason}"
    )


def _waiting(memory: dict[str, Any]) -> str:
    rows = memory.get("rows_waiting", 0)
    return f", {rows} rows wait for the store" if rows else ""


def _guardian(state: dict[str, Any]) -> list[str]:
    """Return a line where the guardian has something to say."""
    if not state:
        return []
    armed = "armed" if state["is_armed"] else "NOT ARMED"
    words = f"E-STOP pressed by {state['reason']}" if state["is_estop"] else armed
    counts = ", ".join(f"{cause} {num}" for cause, num in sorted(state["counts"].items()))
    held = f"held back: {counts}; last {state['last']}" if counts else "nothing held back"
    return [f"guardian  {words}, {state['state']}, {held}"]


def _care(care: dict[str, Any]) -> list[str]:
    """Return a line of the body's needs where there is something to say."""
    if not care:
        return []
    said = []
    if care["charge"] is not None:
        dock = care["dock_m"]
        where = "" if dock is None else f", dock at ({dock[0]:.1f}, {dock[1]:.1f})"
        saves = ", explores no more" if care.get("is_saving") and not care["held"] else ""
        said.append(f"{care['charge']:.0%} charge{saves}{where}")
    said += [text for text in (care["doing"], care["held"]) if text]
    said += ["does not know where it is"] if care["is_lost"] else []
    said += [f"boxed in: {care['rung']}"] if care["rung"] else []
    for name, words in (("keep_in", "kept in"), ("keep_out", "kept out of")):
        if num := care["fence"][name]:
            said.append(f"{words} {num} area{'s' if num > 1 else ''}")
    if care["fence"].get("is_inside") is False:
        said.append("OUTSIDE its fence")
    return [f"care      {'; '.join(said)}"] if said else []


def _doing(doing: dict[str, Any]) -> str:
    return f"{doing['mode']}: {doing['reason']}" if doing["reason"] else str(doing["mode"])


def _learning(learning: dict[str, Any]) -> str:
    if not learning["enabled"]:
        return "off"
    rounds = learning["rounds"]
    accepted = sum(1 for entry in rounds if entry["accepted"])
    parts = [f"{len(rounds)} rounds, {accepted} accepted"]
    if learning["checkpoint"]:
        trust = "trusted" if learning["trusted"] else "not trusted yet"
        parts.append(f"acts with {learning['checkpoint']} ({trust})")
    if learning["freshness_s"] is not None:
        parts.append(f"freshness {duration(learning['freshness_s'])}")
    if learning["in_flight"]:
        parts.append(f"a round is running since {duration(learning['in_flight']['since_s'])}")
    return ", ".join(parts)
