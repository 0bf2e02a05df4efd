"""The table of joint maps, and what it does to captures."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.capture import Capture
from nerm.motion.mapping import LAYOUTS, detect_layout, points_of, to_smpl22


def random_capture(names: tuple[str, ...], seed: int = 0) -> Capture:
    return Capture(names, np.random.default_rng(seed).normal(size=(3, len(names), 3)), 30.0)


def test_the_tables_equal_the_published_joint_maps():
    sources = os.environ.get("NERM_SOURCES")
    if not sources or not (Path(sources) / "data" / "joint_maps.json").exists():
        pytest.skip("NERM_SOURCES does not name a folder with data/joint_maps.json")
    published = json.loads((Path(sources) / "data" / "joint_maps.json").read_text())
    assert published["smpl_joint_order"] == list(SMPL22.names) and published["parents"] == list(SMPL22.parents)
    assert published["maps"] == {layout: LAYOUTS[layout] for layout in published["maps"]}
    assert set(LAYOUTS) >= {*published["maps"], "smpl22"}


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_every_joint_is_a_weighted_mean_of_points(layout):
    assert list(LAYOUTS[layout]) == list(SMPL22.names)
    for weights in LAYOUTS[layout].values():
        assert sum(weights.values()) == pytest.approx(1.0)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_joints_are_the_weighted_sums_whatever_the_order_of_points_and_what_else_there_is(layout):
    names = (*reversed(points_of(layout)), "something_else")
    capture = random_capture(names)
    joints = to_smpl22(capture, layout)
    for joint, weights in LAYOUTS[layout].items():
        expected = sum(weight * capture.point(point) for point, weight in weights.items())
        np.testing.assert_allclose(joints[:, SMPL22.index(joint)], expected, atol=1e-12)


@pytest.mark.parametrize("layout", ["smpl22", "asf31", "bvh31", "bvh43", "bandai"])
def test_a_layout_is_recognised_by_its_names(layout):
    assert detect_layout([*points_of(layout), "more"]) == layout
    assert detect_layout(points_of(layout)[1:]) is None


def test_left_and_right_use_mirrored_points():
    for layout, left, right in (("asf31", "lfemur", "rfemur"), ("bvh31", "LeftLeg", "RightLeg"), ("bvh43", "lShin", "rShin")):
        assert LAYOUTS[layout]["l_knee"] == {left: 1.0} and LAYOUTS[layout]["r_knee"] == {right: 1.0}


def test_unknown_joints_are_named_with_the_nearest_layout():
    names = (*(name for name in points_of("bvh31") if name != "LeftLeg"), "LeftKnee")
    with pytest.raises(InputError) as error:
        to_smpl22(random_capture(names))
    for word in ("LeftKnee", "LeftLeg", "bvh31", "bandai"):
        assert word in str(error.value)
    with pytest.raises(InputError, match="needs the points LeftLeg"):
        to_smpl22(random_capture(names), "bvh31")
    with pytest.raises(InputError, match="layout 'bvh99' does not exist"):
        to_smpl22(random_capture(names), "bvh99")
