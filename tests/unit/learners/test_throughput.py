import pytest
import torch
from tiny_recipes import tiny_recipe

from learners.batch import Scale
from learners.devices import CPU
from learners.recipes.run_spec import Budget
from learners.recipes.spec import Recipe
from learners.recipes.train import begin, go_on
from learners.throughput import matrix_ceiling, throughput
from learners.training import TrainingLog
from memory.records import BodySpec
from memory.replay.ram import RamReplay


def _recipe(batch_size: int) -> Recipe:
    recipe = tiny_recipe("lewm")
    training = recipe.training.model_copy(update={"batch_size": batch_size})
    return recipe.model_copy(update={"training": training})


def test_operations_are_counted_on_a_step_and_grow_with_the_batch(
    arena_replay: RamReplay, spec: BodySpec
) -> None:
    flops = []
    for batch_size in (4, 8):
        recipe = _recipe(batch_size)
        training = begin(recipe, 0)
        go_on(training, recipe, arena_replay, Scale.of(spec), Budget(amount=2), 0)
        log = training.log
        assert log.flops_per_update is not None
        flops.append(log.flops_per_update)
        assert log.cpu_s > 0
        assert log.waited_share <= 1
        found = throughput(training.updater, log, batch_size=batch_size, horizon=4)
        assert found is not None
        assert found.windows_per_s == pytest.approx(2 * batch_size / log.cpu_s)
        assert found.frames_per_s == 4 * found.windows_per_s
        expected = flops[-1] * 2 / log.cpu_s / found.ceiling_flops
        assert found.mfu == pytest.approx(expected)
        assert set(found.as_metrics()) >= {"windows_per_s", "mfu", "flops_per_update"}
    # Patches of 16 px, width 32, two layers: forward and twice as much backward, per frame.
    tokens, width = 16, 32
    layers = 2 * (12 * width**2 * tokens + 2 * tokens**2 * width)
    patches = 5 * 16**2 * width * tokens
    per_frame = 2 * (3 * layers + 2 * patches)
    assert flops[1] / 8 / 4 == pytest.approx(per_frame, rel=0.25)
    assert flops[1] == pytest.approx(2 * flops[0], rel=0.02)


def test_without_a_step_there_is_no_throughput() -> None:
    updater = begin(_recipe(4), 0).updater
    assert throughput(updater, TrainingLog(), batch_size=4, horizon=4) is None


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_ceiling_is_a_speed_that_the_device_has(precision: str) -> None:
    a = torch.ones(256, 256)
    assert a @ a is not None
    assert 1e8 < matrix_ceiling(CPU, precision) < 1e14
