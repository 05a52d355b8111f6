"""A robot of another make, dora's: our links hear and drive it, every value exactly as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from links_session import NO_NETWORK
from links_tools import TESTS, dora_peer, exchange, free_port, python_path, zenoh_client

from agentd.worlds.ros2.codec import Codec
from agentd.worlds.ros2.open_link import open_link
from configs.bodies.ros2_link import Distro, LinkConfig

pytest.importorskip("dora", reason="dora-rs is not installed")


@pytest.mark.parametrize("size", [(64, 48), (640, 480)], ids=["small", "full"])
def test_dora_over_dds(size: tuple[int, int], tmp_path: Path) -> None:
    pytest.importorskip("cyclonedds")
    done = subprocess.run(
        [sys.executable, str(TESTS / "links_session.py"), str(tmp_path), *map(str, size)],
        env=os.environ | {"PYTHONPATH": python_path()},
        capture_output=True,
        text=True,
        timeout=120,
    )
    if done.returncode == NO_NETWORK:
        pytest.skip(f"dora's DDS speaks on every interface: {done.stdout.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("dialect", "distro"), [("humble", "humble"), ("rep2016", "jazzy")], ids=["humble", "jazzy"]
)
def test_dora_over_zenoh(dialect: str, distro: Distro, tmp_path: Path) -> None:
    pytest.importorskip("zenoh")
    codec = Codec(distro)
    endpoint = f"tcp/127.0.0.1:{free_port()}"
    config = LinkConfig(transport="zenoh", distro=distro, domain=5, zenoh_listen=endpoint)
    link = open_link(config, codec)
    options = ["--zenoh", dialect, *zenoh_client(tmp_path, endpoint)]
    with dora_peer(codec, tmp_path, 5, *options):
        exchange(link, codec, width=64, height=48)
    link.close()
