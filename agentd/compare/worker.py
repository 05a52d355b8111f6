"""A run of a comparison in a Ray worker that has the body which the data are of."""

from functools import partial
from typing import Any

from configs.worlds import WorldConfig
from learners.compare_cluster import run_with, serve_runs
from learners.recipes.run_spec import RunSpec


def run_task(spec: dict[str, Any]) -> dict[str, Any]:
    """Do one run in a worker; plain values in and out."""
    parsed = RunSpec.model_validate(spec)
    if parsed.data.world is None:
        return run_with(parsed)
    # Only here: the driver needs no simulator and no torch.
    from agentd.compare.image_goals import image_goals

    world = WorldConfig.model_validate(parsed.data.world)
    return run_with(parsed, partial(image_goals, config=world, seed=parsed.data.seed))


if __name__ == "__main__":
    # By its real name, so that workers import the task instead of unpickling a copy of it.
    from agentd.compare.worker import run_task as task_by_name

    serve_runs(task_by_name)
