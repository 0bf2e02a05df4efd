"""Any skeleton to the 22 joints: every spelling of one figure holds the same places, and what cannot be mapped is told."""

import json
from itertools import pairwise

import numpy as np
import pytest
from figures import FIGURE, Z_UP, bvh_text, places, walking, write
from scipy.spatial.transform import Rotation

from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.bvh import match_file, parse_bvh, read_bvh_motion, write_bvh
from nerm.motion.files import Reading, load_motion
from nerm.motion.layouts import NEEDED, keys_of, named_layouts, without_affixes
from nerm.motion.matching import read_joint_map
from nerm.motion.motion import Motion
from nerm.motion.skeleton import KIT21, joints_from_directions

SPINES = {
    "chest-hip-knee": ("Chest", "Chest2", "Chest3"),
    "daz": ("abdomenLower", "abdomenUpper", "chestLower"),
    "xsens": ("L5", "L3", "T12"),
    "soma": ("Spine1", "Spine2", "Chest"),
    "acclaim": ("upperback", "thorax", "upperthorax"),
    "mikumiku": ("上半身", "上半身2", "上半身3"),
}


def spelled(layout) -> dict[str, str]:
    """The figure's joints as a program names them."""
    names = {role: layout.spelled(role) for role in layout.roles()}
    spine = SPINES.get(
        layout.name, ("Spine", "Spine1", "Spine2") if layout.joints["pelvis"][0] != "spine" else ("spine.001", "spine.002", "spine.003")
    )
    return names | dict(zip(("spine1", "spine2", "spine3"), spine, strict=True))


@pytest.mark.parametrize("layout", named_layouts(), ids=lambda layout: layout.name)
@pytest.mark.parametrize("change", [str, str.upper, lambda name: f"Character1:{name}", lambda name: name.replace("_", " ")])
def test_every_layout_of_the_table_gives_the_places_of_the_figure(tmp_path, layout, change):
    root, turns = walking()
    names = {role: change(name) for role, name in spelled(layout).items()}
    path = write(tmp_path, bvh_text(root, turns, names))
    named = [joint for joint, name in enumerate(SMPL22.names) if name in names]  # KIT-ML has no collars
    assert len(named) >= 20
    np.testing.assert_allclose(read_bvh_motion(path, 0.01).joints[:, named], places(root, turns)[:, named], atol=1e-6)


@pytest.mark.parametrize("prefix", ["mixamorig:", "mixamorig1:", "mixamorig7_", "mixamorig", "Bip01 ", "m_avg_", "skeleton.001|"])
def test_prefixes_say_nothing(tmp_path, prefix):
    root, turns = walking()
    mixamo = next(layout for layout in named_layouts() if layout.name == "mixamo")
    path = write(tmp_path, bvh_text(root, turns, {role: prefix + name for role, name in spelled(mixamo).items()}))
    np.testing.assert_allclose(read_bvh_motion(path, 0.01).joints, places(root, turns), atol=1e-6)


def test_names_are_read_with_side_and_base():
    for name in ("LeftUpLeg", "left_up_leg", "UpLeg.L", "upLeg_l", "L UpLeg", "LUpLeg"):
        assert ("l", "upleg") in keys_of(name)
    assert ("r", "hip") in keys_of("HIP_RIGHT") and ("r", "ひじ") in keys_of("右ひじ")
    assert ("l", "lower") not in keys_of("lowerback") and ("", "lowerback") in keys_of("lowerback")
    numbered = [f"{name}_{number:02d}" for number, name in enumerate(("Hips", "LeftUpLeg", "RightUpLeg", *"abcdefgh"))]
    assert without_affixes(numbered)[:2] == ["Hips", "LeftUpLeg"]
    assert without_affixes(["spine_01", "spine_02"]) == ["spine_01", "spine_02"]  # few names: the numbers may say which


def test_two_names_for_one_thing_are_told_apart_by_who_hangs_below_whom(tmp_path):
    """LeftShoulder is the collar where LeftArm hangs below it, and the shoulder where LeftElbow does; LeftFoot is ankle or toe."""
    root, turns = walking()
    layouts = {layout.name: layout for layout in named_layouts()}
    for name, joint, expected in (
        ("mixamo", "l_collar", "LeftShoulder"),
        ("chest-hip-knee", "l_shoulder", "LeftShoulder"),
        ("mixamo", "l_ankle", "LeftFoot"),
        ("smpl-words", "l_foot", "left_foot"),
    ):
        file = parse_bvh(write(tmp_path, bvh_text(root, turns, spelled(layouts[name]))))
        assert match_file(file).weights[joint] == {expected: 1.0}


def test_the_names_of_a_layout_in_another_tree_do_not_make_it_fit(tmp_path):
    root, turns = walking()
    mixamo = next(layout for layout in named_layouts() if layout.name == "mixamo")
    names = spelled(mixamo) | {"l_hip": "LeftLeg", "l_knee": "LeftUpLeg"}
    with pytest.raises(InputError, match="missing: l_knee"):
        read_bvh_motion(write(tmp_path, bvh_text(root, turns, names)), 0.01)


@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_a_spine_of_any_number_of_joints_has_its_three_points_along_the_way(tmp_path, count):
    """With a straight back, spine1 to spine3 lie at the shares that they have on the SMPL skeleton."""
    mixamo = next(layout for layout in named_layouts() if layout.name == "mixamo")
    figure = {name: where for name, where in FIGURE.items() if not name.startswith("spine")}
    chain = ["pelvis", *(f"b{number}" for number in range(count))]
    figure |= {name: (above, (0, 52 / (count + 1), 0)) for above, name in pairwise(chain)}
    figure["neck"] = (chain[-1], (0, 52 / (count + 1), 0))
    figure |= {f"{side}_collar": (chain[-1], (sign * 8, 0, 0)) for side, sign in (("l", 1), ("r", -1))}
    root = np.tile([0.0, 92, 0], (3, 1))
    path = write(tmp_path, bvh_text(root, {}, spelled(mixamo), figure=figure))
    x = read_bvh_motion(path, 0.01).joints[0]
    trunk = np.cumsum(SMPL22.lengths[[3, 6, 9, 12]])
    np.testing.assert_allclose(x[[3, 6, 9], 1], 0.92 + 0.52 * trunk[:3] / trunk[3], atol=1e-6)
    np.testing.assert_allclose(x[[3, 6, 9]][:, [0, 2]], 0, atol=1e-9)


def test_end_sites_stand_for_missing_toes_hands_and_heads_and_a_collar_is_made_up(tmp_path):
    root, turns = walking()
    missing = ("l_foot", "r_foot", "l_wrist", "r_wrist", "head")
    expected = places(root, turns)
    path = write(tmp_path, bvh_text(root, turns, spelled(named_layouts()[0]), left_out=missing))
    np.testing.assert_allclose(read_bvh_motion(path, 0.01).joints, expected, atol=1e-6)


def test_joints_above_the_pelvis_and_in_any_order_do_not_matter(tmp_path):
    root, turns = walking()
    path = write(tmp_path, bvh_text(root, turns, spelled(named_layouts()[3]), top=("Armature", "reference")))
    np.testing.assert_allclose(read_bvh_motion(path, 0.01).joints, places(root, turns), atol=1e-6)


def test_a_map_of_the_user_names_the_joints_of_any_other_skeleton(tmp_path):
    root, turns = walking()
    names = {name: f"bone{number:02d}" for number, name in enumerate(FIGURE)}
    path = write(tmp_path, bvh_text(root, turns, names))
    with pytest.raises(InputError, match=r"no known layout fits .*bone00.*joints=MAP\.json"):
        load_motion(path)
    given = {
        "Left_Hip" if joint == "l_hip" else joint: name for joint, name in names.items() if joint in ("pelvis", "neck", "head", *NEEDED)
    }
    (tmp_path / "map.json").write_text(json.dumps(given | {"l_foot": names["l_foot"], "r_foot": names["r_foot"]}))
    x = load_motion(path, Reading(metres_per_unit=0.01, joints=read_joint_map(tmp_path / "map.json"))).joints
    made_up = [SMPL22.index(name) for name in ("l_collar", "r_collar")]
    keep = [joint for joint in range(22) if joint not in made_up]
    np.testing.assert_allclose(x[:, keep], places(root, turns)[:, keep], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"pelvis": "Hipz"}, ["no joint 'Hipz'", "pelvis", "did you mean Hips"]),
        ({"pelvis": "Hips"}, ["l_hip", "missing"]),
        ({"Hips": "pelvis"}, ["'Hips' is none of the 22 joints", "the names of the file stand on the right"]),
        ({"pelvis": 3}, ["expected names of joints"]),
    ],
)
def test_a_wrong_map_is_answered(tmp_path, given, words):
    root, turns = walking()
    path = write(tmp_path, bvh_text(root, turns, spelled(named_layouts()[3])))
    (tmp_path / "map.json").write_text(json.dumps(given))
    with pytest.raises(InputError) as error:
        load_motion(path, Reading(metres_per_unit=0.01, joints=read_joint_map(tmp_path / "map.json")))
    assert all(word in str(error.value) for word in words)


def test_names_that_nobody_knows_are_told_with_the_layouts_that_are_known(tmp_path):
    root, turns = walking()
    with pytest.raises(InputError) as error:
        read_bvh_motion(write(tmp_path, bvh_text(root, turns, {name: f"bone{number:02d}" for number, name in enumerate(FIGURE)})))
    for word in ("not recognised are bone00, bone01", "and 10 more", "joints=MAP.json", "mixamo", "lafan1", "bvh31", "bandai"):
        assert word in str(error.value)
    assert "nearest" not in str(error.value)


def test_what_is_missing_is_told_with_the_nearest_layout(tmp_path):
    root, turns = walking()
    names = spelled(next(layout for layout in named_layouts() if layout.name == "lafan1")) | {"l_knee": "Gizmo"}
    with pytest.raises(InputError) as error:
        read_bvh_motion(write(tmp_path, bvh_text(root, turns, names)))
    for word in ("the nearest is lafan1", "l_knee (LeftLeg)", "not recognised are Gizmo", "joints=MAP.json"):
        assert word in str(error.value)
    assert "l_hip" not in str(error.value).replace('"l_hip"', "")  # what was found is not said to be missing


# ---- axes, sides, units ----


@pytest.mark.parametrize("walked", [True, False])
def test_a_file_with_z_up_is_turned_and_said(tmp_path, capsys, walked):
    root, turns = walking(speed_mps=1.2 if walked else 0.0)
    path = write(tmp_path, bvh_text(root, turns, spelled(named_layouts()[3]), axes=Z_UP))
    np.testing.assert_allclose(load_motion(path, Reading(metres_per_unit=0.01)).joints, places(root, turns), atol=1e-6)
    assert "stands along z" in capsys.readouterr().err


def test_a_root_that_alone_is_turned_to_z_up_is_found_by_the_walk(tmp_path, capsys):
    root, turns = walking(frames=30)
    turned = dict(turns) | {"pelvis": Rotation.from_matrix(Z_UP) * turns["pelvis"]}
    path = write(tmp_path, bvh_text(root @ Z_UP.T, turned, spelled(named_layouts()[3])))
    np.testing.assert_allclose(load_motion(path, Reading(metres_per_unit=0.01)).joints, places(root, turns), atol=1e-6)
    assert "stands along z" in capsys.readouterr().err


def test_a_person_who_lies_is_not_turned(tmp_path, capsys):
    root, turns = walking(speed_mps=0.0)
    lying = dict(turns) | {"pelvis": Rotation.from_matrix(Z_UP) * turns["pelvis"]}
    path = write(tmp_path, bvh_text(root * 0 + [0, 12.0, 0], lying, spelled(named_layouts()[3])))
    np.testing.assert_allclose(load_motion(path, Reading(metres_per_unit=0.01)).joints, places(root * 0 + [0, 12.0, 0], lying), atol=1e-6)
    assert "stands along" not in capsys.readouterr().err


def test_sides_are_checked_by_the_way_the_feet_point(tmp_path, capsys):
    root, turns = walking()
    names = spelled(named_layouts()[3])
    swapped = {joint: names[{"l": "r", "r": "l"}.get(joint[0], "") + joint[1:]] if joint[1] == "_" else names[joint] for joint in names}
    path = write(tmp_path, bvh_text(root, turns, swapped))
    np.testing.assert_allclose(load_motion(path, Reading(metres_per_unit=0.01)).joints, places(root, turns), atol=1e-6)
    assert "left and right are exchanged" in capsys.readouterr().err


@pytest.mark.parametrize(("scale", "unit"), [(1, 0.01), (0.01, 1), (10, 0.001), (1 / 2.54, 0.0254), (1 / 5.644, 0.05644)])
def test_the_unit_is_guessed_whatever_the_spelling_and_the_axes(tmp_path, capsys, scale, unit):
    root, turns = walking()
    path = write(tmp_path, bvh_text(root, turns, spelled(named_layouts()[6]), scale=scale, axes=Z_UP))
    np.testing.assert_allclose(load_motion(path).joints, places(root, turns), atol=1e-4)
    assert f"1 unit = {unit:g} m" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["xyz", "xzy", "yxz", "yzx", "zxy", "zyx"])
@pytest.mark.parametrize("moving", [True, False])
def test_channels_of_any_order_and_positions_on_every_joint(tmp_path, order, moving):
    root, turns = walking()
    path = write(tmp_path, bvh_text(root, turns, order=order, moving=moving))
    np.testing.assert_allclose(load_motion(path, Reading(metres_per_unit=0.01)).joints, places(root, turns), atol=1e-6)


def test_a_motion_of_kit_ml_written_as_bvh_reads_back(tmp_path):
    rng = np.random.default_rng(0)
    directions = KIT21.axes[1:] + 0.2 * np.sin(np.linspace(0, 2, 9)[:, None, None] + rng.normal(size=(20, 3)))
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    motion = Motion(joints_from_directions(np.tile([0, 0.6, 0.0], (9, 1)), directions, KIT21), 12.5, KIT21)
    write_bvh(motion, tmp_path / "kit.bvh")
    back = load_motion(tmp_path / "kit.bvh")
    assert back.fps == 12.5 and back.skeleton.names == KIT21.names
    np.testing.assert_allclose(back.joints, motion.joints, atol=1e-5)
