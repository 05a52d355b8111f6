"""Speed of the house: steps, images, physics, generation, first observation.

    python tests/bench/bench_house.py --seed 3 --steps 300

One "step" is 0.25 m forward or 30 deg of turn, with physics, RGB-D image and instances. CPU time of
one core. Best and median of many short runs: neighbours on the machine only ever slow a run down.
Prints tables, asserts nothing about seconds.
"""

import argparse
import math
import os
import subprocess
import sys
import time
from importlib.util import find_spec

import numpy as np

from agentd.worlds.house.layout import make_house
from agentd.worlds.house.world import HouseWorld
from configs.worlds import HouseConfig
from memory.records import Action

TARGETS_PER_S = {"numba": 150.0, "mujoco": 90.0}
FIRST_S, HOUSE_P95_S = 2.0, 3.0
_RUN_STEPS = 10


def discrete_actions(world: HouseWorld, count: int, seed: int) -> list[Action]:
    """Return moves of 0.25 m and turns of 30 deg, six to four."""
    spec, rng = world.spec, np.random.default_rng(seed)
    turn_s = math.radians(30) / spec.w_max_radps
    actions = []
    for _ in range(count):
        if rng.random() < 0.6:
            v, w, seconds = spec.v_max_mps, 0.0, 0.25 / spec.v_max_mps
        else:
            v, w, seconds = 0.0, float(rng.choice([-1, 1])) * spec.w_max_radps, turn_s
        actions.append(Action(v_mps=v, w_radps=w, duration_s=seconds))
    return actions


def steps_per_s(world: HouseWorld, actions: list[Action]) -> float:
    """Return environment steps per second of CPU time."""
    begin = time.process_time()
    for action in actions:
        world.step(action)
    return len(actions) / (time.process_time() - begin)


def image_ms(world: HouseWorld, count: int) -> tuple[float, float]:
    """Return CPU milliseconds per image, and of its ray casting alone."""
    spent = cast = 0.0
    for seed in range(count):
        view = world.reset(seed).T_world_camera
        for _ in range(4):
            begin = time.process_time()
            world.camera.take(world.stage.data, view)
            middle = time.process_time()
            world.camera.caster.cast(world.stage.data, view)
            spent += middle - begin
            cast += time.process_time() - middle
    return 250 * spent / count, 250 * cast / count


def physics_ms(world: HouseWorld, count: int) -> float:
    """Return CPU milliseconds per 0.2 s of physics."""
    begin = time.process_time()
    for k in range(count):
        world.stage.base.drive(0.3, 1.5 if k % 2 else -1.5, 0.2)
    return 1000 * (time.process_time() - begin) / count


def first_observation_s(caster: str, seed: int) -> tuple[float, float]:
    """Return least wall and CPU seconds of fresh processes from import to first observation."""
    code = (
        "import time; wall, cpu = time.perf_counter(), time.process_time();"
        "from agentd.worlds.house.world import HouseWorld;"
        "from configs.worlds import HouseConfig;"
        f"HouseWorld(HouseConfig(seed={seed}, caster={caster!r})).reset(0);"
        "print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    walls, cpus = zip(*(map(float, r.stdout.split()) for r in runs), strict=True)
    return min(walls), min(cpus)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--houses", type=int, default=60)
    options = parser.parse_args()
    casters = ["mujoco", "numba"] if find_spec("numba") else ["mujoco"]
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    print(f"cores {os.cpu_count()}, load {load}, house {options.seed}, CPU time of one core\n")
    print("          discrete steps/s                      ms, best")
    print("caster  image   best  median  target  ratio   image   cast  0.2 s physics")
    for caster in casters:
        for size in (64, 128):
            config = {"seed": options.seed, "caster": caster, "image_px": size}
            world = HouseWorld(HouseConfig.model_validate(config))
            rates = []
            for run in range(max(2, options.steps // _RUN_STEPS)):
                world.reset(run)
                rates.append(steps_per_s(world, discrete_actions(world, _RUN_STEPS, seed=run)))
            best, median = max(rates[1:]), float(np.median(rates[1:]))
            image, cast = min(image_ms(world, 5) for _ in range(5))
            physics = min(physics_ms(world, 20) for _ in range(5))
            target = TARGETS_PER_S[caster] if size == 64 else math.nan
            print(
                f"{caster:7} {size:5} {best:6.0f}  {median:6.0f}  {target:6.0f}  "
                f"{best / target:5.2f}  {image:6.2f} {cast:6.2f}  {physics:13.2f}"
            )
    print("\nfirst observation in a fresh process, s   wall    CPU  target  ratio (wall)")
    for caster in casters:
        wall, cpu = first_observation_s(caster, options.seed)
        print(f"{caster:38}  {wall:5.2f}  {cpu:5.2f}  {FIRST_S:6.1f}  {FIRST_S / wall:5.2f}")
    spent = []
    for seed in range(options.houses):
        begin = time.process_time()
        make_house(seed)
        spent.append(time.process_time() - begin)
    p50, p95 = np.percentile(spent, [50, 95])
    print(f"\n{options.houses} houses: p50 {p50:.3f} s, p95 {p95:.3f} s, worst {max(spent):.3f} s")
    print(f"target p95 {HOUSE_P95_S} s, ratio {HOUSE_P95_S / p95:.1f}")


if __name__ == "__main__":
    main()
