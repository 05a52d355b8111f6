"""Looks whether Habitat could run here, without letting it into this process.

A simulator without a GPU, a library or a scene may end the process that it runs in: everything is
tried in another one.
"""

import ctypes.util
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from agentd.doctor import Finding
from agentd.worlds.habitat.backend import SceneFacts
from agentd.worlds.habitat.errors import HabitatError
from agentd.worlds.habitat.opening import Opener, open_caller
from agentd.worlds.habitat.world import HabitatWorld
from configs.bodies.habitat import HabitatConfig
from memory.frames import pixel_rays

MIN_PYTHON = (3, 9)
_PATIENCE_S = 120.0
_LOOKS = 8
_FLOOR_BAND_M = 0.35
_FLOOR_NEAR_M = 4.0
_FLOOR_OFF_M = 0.04
_LIBRARIES = {
    "EGL": "libegl1 libegl-mesa0",
    "OpenGL": "libopengl0",
}
_APT = "apt-get install libegl1 libegl-mesa0 libopengl0 libgl1-mesa-dri"
GET_IT = (
    "conda create -n habitat python=3.9 && conda install -n habitat habitat-sim withbullet "
    "headless -c conda-forge -c aihabitat, then set world.habitat.python to bin/python of that "
    "environment (conda info --envs shows where); or build it from source for any Python, "
    "headless, as github.com/facebookresearch/habitat-sim describes. There is no wheel on PyPI"
)
_NUMPY = "import sys, numpy; print(*sys.version_info[:3], numpy.__version__)"
_HABITAT = "import habitat_sim; print(habitat_sim.__version__)"


def examine_habitat(config: HabitatConfig, opener: Opener = open_caller) -> list[Finding]:
    """Look at everything that a life in Habitat needs, in the order in which it is needed.

    Args:
        config: Settings of the body.
        opener: Starts the simulator; it is asked only when all the rest is there.
    """
    findings = [*_libraries(), *_interpreter(config)]
    findings.extend(_files(config))
    if any(finding.level == "fail" for finding in findings):
        return findings
    if config.scene or config.episodes:
        findings.extend(_scene(config, opener))
    else:
        fix = "give --set world.habitat.scene=FILE to try one"
        findings.append(Finding("habitat scene", "warn", "none is set: not tried", fix))
    return findings


def _libraries() -> Iterator[Finding]:
    for name, packages in _LIBRARIES.items():
        found = ctypes.util.find_library(name)
        if found:
            yield Finding(f"lib{name}", "ok", found)
        else:
            text = f"not found: habitat-sim is linked against it ({packages})"
            yield Finding(f"lib{name}", "warn", text, _APT + " (conda brings its own)")


def _interpreter(config: HabitatConfig) -> Iterator[Finding]:
    python = str(Path(config.python).expanduser()) if config.python else sys.executable
    where = f"world.habitat.python = {config.python}" if config.python else f"{python} (this one)"
    done = _run(python, _NUMPY)
    if isinstance(done, str):
        fix = "set world.habitat.python to the Python that has habitat_sim and numpy"
        yield Finding("habitat python", "fail", f"{where}: {done}", fix)
        return
    *version, numpy = done.stdout.split()
    if tuple(map(int, version)) < MIN_PYTHON:
        text = f"{where}: Python {'.'.join(version)} is too old"
        yield Finding("habitat python", "fail", text, "use Python 3.9 or newer")
        return
    yield Finding("habitat python", "ok", f"{where}: {'.'.join(version)}, numpy {numpy}")
    done = _run(python, _HABITAT)
    if not isinstance(done, str):
        yield Finding("habitat_sim", "ok", done.stdout.split()[-1])
    elif "No module named 'habitat_sim'" in done:
        yield Finding("habitat_sim", "fail", f"{python} has no habitat_sim", GET_IT)
    else:
        fix = _APT if "shared object file" in done else GET_IT
        yield Finding("habitat_sim", "fail", f"{python} cannot import habitat_sim: {done}", fix)


def _run(python: str, code: str) -> "subprocess.CompletedProcess[str] | str":
    """Return what a few words of Python print in a new process, or in words why they do not."""
    try:
        done = subprocess.run(
            [python, "-I", "-c", code],
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    except subprocess.TimeoutExpired:
        return f"no answer within {_PATIENCE_S:g} s"
    if done.returncode == 0:
        return done
    if done.returncode < 0:
        return f"ended by signal {signal.Signals(-done.returncode).name}"
    lines = done.stderr.strip().splitlines() or done.stdout.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _files(config: HabitatConfig) -> Iterator[Finding]:
    for name in ("dataset", "navmesh", "episodes"):
        value = getattr(config, name)
        if value and not Path(value).expanduser().exists():
            text = f"world.habitat.{name} = {value} is not there"
            yield Finding(f"habitat {name}", "fail", text, "correct the path")


def _scene(config: HabitatConfig, opener: Opener) -> Iterator[Finding]:
    """Open the scene as a life would, look once, and tell what is in it."""
    try:
        world = HabitatWorld(config, opener)
    except HabitatError as error:
        yield Finding("habitat scene", "fail", str(error), "correct what is named")
        return
    try:
        facts, observation = world.facts, world.reset(config.seed)
        yield Finding("habitat scene", "ok", f"{world.config.scene} by {facts.simulator}")
        yield _navmesh(facts)
        yield _annotation(facts, config)
        if not observation.rgb.any():
            fix = "look from elsewhere, or set world.habitat.lighting = true for unbaked scenes"
            yield Finding("habitat images", "warn", "the first image is all black", fix)
        else:
            height, width = observation.depth_m.shape
            yield Finding("habitat images", "ok", f"{width} x {height}, colour and depth")
        yield _floor(world)
    finally:
        world.close()


def _navmesh(facts: SceneFacts) -> Finding:
    text = f"{facts.navmesh}: {facts.area_m2:.0f} m2 in {facts.islands} parts"
    return Finding("habitat navmesh", "ok", text)


def _floor(world: HabitatWorld) -> Finding:
    """Look around, and tell whether the floor is where the settings say."""
    heights = []
    pose = world.pose
    for turn_rad in np.linspace(0, 2 * np.pi, _LOOKS, endpoint=False):
        world.place(pose + np.array([0.0, 0.0, turn_rad]))
        seen = world.reset()
        points = pixel_rays(world.spec) * seen.depth_m[..., None]
        z = points @ seen.T_world_camera[2, :3] + seen.T_world_camera[2, 3]
        near = np.abs(z) < _FLOOR_BAND_M  # false of NaN
        heights.append(z[near & (seen.depth_m < _FLOOR_NEAR_M)])
    found = np.concatenate(heights)
    if not len(found):
        fix = "look from elsewhere, or set world.habitat.camera_pitch_deg"
        return Finding("habitat floor", "warn", "not in view anywhere around the start", fix)
    off_m, gap_m = float(np.median(found)), world.config.floor_gap_m
    if abs(off_m) <= _FLOOR_OFF_M:
        return Finding("habitat floor", "ok", f"at {off_m:+.2f} m, where it is taken to be")
    fix = f"set world.habitat.floor_gap_m = {max(gap_m - off_m, 0.0):.2f}"
    return Finding("habitat floor", "warn", f"{off_m:+.2f} m from where it is taken to be", fix)


def _annotation(facts: SceneFacts, config: HabitatConfig) -> Finding:
    if not config.semantics:
        return Finding("habitat annotation", "ok", "not asked for (world.habitat.semantics)")
    if facts.objects:
        return Finding("habitat annotation", "ok", f"{len(facts.objects)} objects")
    fix = (
        "set world.habitat.dataset to the scene_dataset_config.json that names it; without, use "
        "policies.perception.detector = components or open_vocabulary"
    )
    return Finding("habitat annotation", "warn", "none: no instance mask, no true objects", fix)
