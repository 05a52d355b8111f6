from agentd.evaluate.arms import ARMS
from policies.config import PerceptionConfig, PoliciesConfig


def test_the_floor_keeps_perfect_masks_and_the_others_have_the_detector_that_is_set() -> None:
    base = PoliciesConfig(perception=PerceptionConfig(detector="noisy", min_px=20))
    used = {name: arm.policies(base).perception for name, arm in ARMS.items()}
    assert used["floor"].detector == "instances"
    assert used["floor"].min_px == 20
    assert {used[name].detector for name in ARMS if name != "floor"} == {"noisy"}
