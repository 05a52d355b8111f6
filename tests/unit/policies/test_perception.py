import numpy as np
import pytest
from fakes_policies import Box, BoxWorld, room

from memory.records import NUM_OBJECTS, OBJECT_FEATURES
from policies.config import PerceptionConfig
from policies.detectors.instances import InstanceDetector
from policies.perception import object_rows

CHAIR = Box(3.0, 1.8, 3.4, 2.2, top_m=0.9, label="chair")
TABLE = Box(2.4, 0.4, 3.6, 1.2, top_m=0.7, label="table")


@pytest.fixture
def world() -> BoxWorld:
    return BoxWorld([*room(5, 4), CHAIR, TABLE], [1.0, 2.0, 0.0])


def test_a_thing_is_where_it_stands(world: BoxWorld) -> None:
    found = {
        d.label: d for d in InstanceDetector(world.spec, PerceptionConfig()).detect(world.observe())
    }
    chair = found["chair"]
    low, high = chair.xyz_m - chair.extent_m / 2, chair.xyz_m + chair.extent_m / 2
    np.testing.assert_allclose(low[:2], (CHAIR.x0, CHAIR.y0), atol=0.08)
    assert high[0] <= CHAIR.x1 + 0.05
    assert high[2] == pytest.approx(CHAIR.top_m, abs=0.1)
    np.testing.assert_allclose(chair.xyz_body_m[:2], chair.xyz_m[:2] - world.pose[:2], atol=1e-6)
    assert chair.range_m == pytest.approx(2.0, abs=0.3)


def test_the_largest_comes_first(world: BoxWorld) -> None:
    found = InstanceDetector(world.spec, PerceptionConfig()).detect(world.observe())
    sizes = [d.num_px for d in found]
    assert len(sizes) == 2
    assert sizes == sorted(sizes, reverse=True)


def test_a_box_holds_the_pixels_of_its_instance_exactly(world: BoxWorld) -> None:
    observation = world.observe()
    assert observation.instances is not None
    height, width = observation.instances.shape
    for found in InstanceDetector(world.spec, PerceptionConfig()).detect(observation):
        v, u = np.nonzero(observation.instances == found.instance)
        assert found.num_px == len(u)
        wanted = (u.min() / width, v.min() / height, (u.max() + 1) / width, (v.max() + 1) / height)
        assert found.box == wanted


def test_numbers_without_a_label_and_pixels_without_depth_are_left_out(world: BoxWorld) -> None:
    observation = world.observe()
    detector, labels = InstanceDetector(world.spec, PerceptionConfig()), observation.labels
    first = detector.detect(observation)[0]
    object.__setattr__(observation, "labels", labels[:1])
    assert detector.detect(observation) == []
    object.__setattr__(observation, "labels", labels)
    assert observation.instances is not None
    observation.depth_m[observation.instances == first.instance] = np.inf
    assert first.instance not in {d.instance for d in detector.detect(observation)}


def test_small_masks_are_left_out(world: BoxWorld) -> None:
    observation = world.observe()
    assert InstanceDetector(world.spec, PerceptionConfig(min_px=10_000)).detect(observation) == []


def test_a_cut_off_thing_touches_the_border() -> None:
    world = BoxWorld([*room(5, 4), CHAIR], [2.4, 2.0, 0.75])
    (chair,) = InstanceDetector(world.spec, PerceptionConfig()).detect(world.observe())
    assert chair.touches_border


def test_object_rows_hold_the_largest_in_order(world: BoxWorld) -> None:
    found = InstanceDetector(world.spec, PerceptionConfig()).detect(world.observe())
    rows = object_rows(found * 6, world.spec)
    assert rows.shape == (NUM_OBJECTS, len(OBJECT_FEATURES))
    assert (rows[:, 0] == 1).all()
    few = object_rows(found, world.spec)
    assert few[:, 0].sum() == len(found)
    assert not few[len(found) :].any()
    column = OBJECT_FEATURES.index("x_m")
    assert few[0, column] == pytest.approx(found[0].xyz_body_m[0], rel=1e-5)
    assert few[0, OBJECT_FEATURES.index("area")] == pytest.approx(
        found[0].num_px / (world.spec.width_px * world.spec.height_px)
    )
