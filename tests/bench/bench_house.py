"""Speed of the house: steps, images, physics, generation, first observation.

    python tests/bench/bench_house.py --seed 3 --steps 300

One "step" is 0.25 m forward or 30 deg of turn, with physics, RGB-D image and instances. CPU time of
one core; prints tables, asserts nothing about seconds.
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
    """Return environment steps per second of CPU time; a bump turns the robot away unmeasured."""
    world.reset(0)
    away = Action(v_mps=-0.2, w_radps=2.0, duration_s=1.0)
    spent = 0.0
    for action in actions:
        begin = time.process_time()
        bumped = world.step(action).observation.bumped
        spent += time.process_time() - begin
        if bumped:
            world.step(away)
    return len(actions) / spent


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
        world.stage.base.drive(0.3, 1.5 if k % 2 else -1.5, 0.2, slip=0.0, drift_radpm=0.0)
    return 1000 * (time.process_time() - begin) / count


def first_observation_s(caster: str, seed: int) -> float:
    """Return wall seconds of a fresh process from import to the first observation."""
    code = (
        "import time; begin = time.perf_counter();"
        "from agentd.worlds.house.world import HouseWorld;"
        "from configs.worlds import HouseConfig;"
        f"HouseWorld(HouseConfig(seed={seed}, caster={caster!r})).reset(0);"
        "print(time.perf_counter() - begin)"
    )
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    return min(float(r.stdout) for r in runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--houses", type=int, default=60)
    options = parser.parse_args()
    casters = ["mujoco", "numba"] if find_spec("numba") else ["mujoco"]
    load = ", ".join(f"{v:.1f}" for v in os.getloadavg())
    print(f"cores {os.cpu_count()}, load {load}, house {options.seed}, CPU time of one core\n")
    print("caster  image  discrete steps/s  target  ratio  image ms  cast ms  0.2 s physics ms")
    for caster in casters:
        for size in (64, 128):
            config = {"seed": options.seed, "caster": caster, "image_px": size}
            world = HouseWorld(HouseConfig.model_validate(config))
            steps_per_s(world, discrete_actions(world, 10, seed=9))
            rate = steps_per_s(world, discrete_actions(world, options.steps, seed=1))
            image, cast = image_ms(world, 25)
            target = TARGETS_PER_S[caster] if size == 64 else math.nan
            print(
                f"{caster:7} {size:5}  {rate:16.0f}  {target:6.0f}  {rate / target:5.2f}"
                f"  {image:8.2f}  {cast:7.2f}  {physics_ms(world, 100):16.2f}"
            )
    print("\nfirst observation in a fresh process (best of 3, wall s)   target  ratio")
    for caster in casters:
        seconds = first_observation_s(caster, options.seed)
        print(f"{caster:7} {seconds:48.2f}   {FIRST_S:6.1f}  {FIRST_S / seconds:5.2f}")
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
