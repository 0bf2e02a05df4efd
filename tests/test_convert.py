"""`python -m nerm.convert`: what is written can be read, what is wrong is answered with one sentence and leaves no file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nerm.convert import main
from nerm.errors import InputError
from nerm.motion.features import FEATURES_251, canonicalise, decode_humanml263, encode_kit251, process_humanml
from nerm.motion.files import Reading, load_motion, save_motion
from nerm.motion.lengths import with_constant_lengths
from nerm.motion.motion import Motion
from nerm.motion.skeleton import KIT21, SMPL22, SMPL24, joints_from_directions, yaw_matrix

SOURCES = os.environ.get("NERM_SOURCES")


def motion(skeleton=SMPL22, frames=61, fps=20.0):
    """A slow wave of every bone about its rest direction while walking and turning."""
    t = np.arange(frames)[:, None] / fps
    phases = np.linspace(0, 6, 3 * (len(skeleton) - 1))
    directions = skeleton.axes[1:] + 0.2 * np.sin(2 * t + phases).reshape(frames, -1, 3)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    root = np.concatenate([0.1 * np.sin(t), 0.9 + 0.02 * np.sin(3 * t), 0.5 * t], axis=1)
    joints = joints_from_directions(root, directions, skeleton) @ np.swapaxes(yaw_matrix(0.3 * t[:, 0]), -1, -2)
    return Motion(joints.astype(np.float32), fps, skeleton)


@pytest.fixture
def joints(tmp_path):
    path = tmp_path / "joints.npy"
    np.save(path, motion().joints)
    return path


def convert(source, out, *words):
    main([f"in={source}", f"out={out}", *words])
    return out


def test_joints_become_features_and_features_the_canonical_joints(joints, tmp_path):
    out = convert(joints, tmp_path / "features.npy", "from=joints22", "to=humanml263", "fps=20")
    converted = np.load(out)
    expected, canonical = process_humanml(motion().joints)
    assert converted.shape == (60, 263) and converted.dtype == np.float32
    np.testing.assert_allclose(converted, expected, atol=1e-6)
    back = np.load(convert(out, tmp_path / "back.npy", "from=humanml263", "to=joints22", "fps=20"))
    assert np.abs(back - canonical[:-1]).max() < 1e-5


@pytest.mark.parametrize(("suffix", "limit"), [("bvh", 1e-4), ("npz", 1e-7)])
def test_a_motion_written_and_read_back_has_the_same_joints(joints, tmp_path, suffix, limit):
    out = convert(joints, tmp_path / f"motion.{suffix}", "fps=20")
    back = np.load(convert(out, tmp_path / "back.npy", "to=joints22"))
    np.testing.assert_allclose(back, motion().joints, atol=limit)


def test_formats_are_found_by_suffix_and_shape(joints, tmp_path, capsys):
    features = convert(joints, tmp_path / "features.npy", "to=humanml263")
    convert(features, tmp_path / "motion.npz")
    np.testing.assert_allclose(load_motion(tmp_path / "motion.npz").joints, decode_humanml263(np.load(features)), atol=1e-6)
    assert "read as 20 fps" in capsys.readouterr().err


def test_to_fps_goes_through_the_resampler(joints, tmp_path):
    up = load_motion(convert(joints, tmp_path / "up.npz", "fps=20", "to_fps=60"))
    assert up.fps == 60 and len(up) == 181
    np.testing.assert_allclose(up.joints[::3], motion().joints, atol=1e-6)
    down = load_motion(convert(joints, tmp_path / "down.npz", "fps=20", "to_fps=10", "mode=sample"))
    np.testing.assert_allclose(down.joints, motion().joints[::2], atol=1e-6)
    same = load_motion(convert(joints, tmp_path / "same.npz", "fps=20", "to_fps="))
    assert same.fps == 20


def test_features_are_written_at_the_rate_of_their_format(tmp_path, capsys):
    np.save(tmp_path / "joints.npy", motion(frames=181, fps=60).joints)
    out = convert(tmp_path / "joints.npy", tmp_path / "features.npy", "to=humanml263", "fps=60")
    assert np.load(out).shape == (60, 263)
    assert "defined at 20 fps" in capsys.readouterr().err


def test_kit_features_become_a_motion_in_metres_and_features_again(tmp_path):
    joints = motion(KIT21, fps=12.5).joints.astype(np.float64)
    features = encode_kit251(canonicalise(joints * 1000, FEATURES_251))
    np.save(tmp_path / "kit.npy", features)
    out = load_motion(convert(tmp_path / "kit.npy", tmp_path / "kit.npz", "from=kit251"))
    assert out.fps == 12.5 and out.skeleton == KIT21
    assert 0.4 < out.joints[0, 0, 1] < 1.5
    back = np.load(convert(tmp_path / "kit.npz", tmp_path / "back.npy", "to=kit251"))
    assert back.shape == (59, 251)
    again = load_motion(convert(tmp_path / "back.npy", tmp_path / "again.npz", "from=kit251"))
    np.testing.assert_allclose(again.joints, canonicalise(out.joints, FEATURES_251)[:-1], atol=1e-5)


def test_a_motion_of_24_joints_loses_its_hands(tmp_path):
    save_motion(motion(SMPL24), tmp_path / "motion.npz")
    out = convert(tmp_path / "motion.npz", tmp_path / "joints.npy", "to=joints22")
    np.testing.assert_allclose(np.load(out), motion(SMPL24).joints[:, :22])


def noisy():
    """What generators make: bones that change their lengths."""
    return motion().joints + 0.002 * np.random.default_rng(0).standard_normal((61, 22, 3)).astype(np.float32)


def test_generated_joints_become_a_bvh_with_the_median_lengths_and_one_line_says_so(tmp_path, capsys):
    """The same motion and the same line as by nerm.upsample: one function holds bones constant."""
    np.save(tmp_path / "generated.npy", noisy())
    convert(tmp_path / "generated.npy", tmp_path / "a.bvh", "fps=20")
    line = [line for line in capsys.readouterr().err.splitlines() if "bones" in line]
    joints = load_motion(tmp_path / "a.bvh").joints
    bones = [np.linalg.norm(x[:, 1:] - x[:, SMPL22.parents[1:]], axis=-1) for x in (noisy(), joints)]
    np.testing.assert_allclose(bones[1], np.median(bones[0], axis=0)[None] + 0 * bones[1], atol=1e-5)
    held = with_constant_lengths(Motion(noisy(), 20.0))
    moved = np.linalg.norm(held.joints - noisy(), axis=-1).max()
    np.testing.assert_allclose(joints, held.joints, atol=1e-4)
    assert line == [f"the bones of the motion change their lengths; held at their medians, joints move by up to {1000 * moved:.1f} mm"]
    assert 0.005 < moved < 0.03


def test_results_of_mdm_become_a_bvh_and_of_several_motions_one_is_named(tmp_path, capsys):
    both = np.stack([motion().joints, motion(frames=61, fps=40.0).joints]).transpose(0, 2, 3, 1)
    np.save(tmp_path / "results.npy", {"motion": both, "text": ["a", "b"], "lengths": np.array([61, 41])}, allow_pickle=True)
    with pytest.raises(InputError, match=r"motion\[i\]\.transpose\(2, 0, 1\) is motion i as joints22 .* index=0 to index=1"):
        convert(tmp_path / "results.npy", tmp_path / "a.bvh")
    convert(tmp_path / "results.npy", tmp_path / "a.bvh", "index=1", "fps=20")
    np.testing.assert_allclose(load_motion(tmp_path / "a.bvh").joints, both[1].transpose(2, 0, 1)[:41], atol=1e-4)


def test_another_unit_and_another_axis_are_given_and_gone(tmp_path, capsys):
    np.save(tmp_path / "z_up.npy", 100 * motion().joints[..., [0, 2, 1]] * [1, -1, 1])
    with pytest.raises(InputError, match=r"seem to be centimetres: give metres_per_unit=0\.01"):
        convert(tmp_path / "z_up.npy", tmp_path / "a.npz", "fps=20")
    out = convert(tmp_path / "z_up.npy", tmp_path / "a.npz", "fps=20", "metres_per_unit=0.01", "up=z")
    np.testing.assert_allclose(load_motion(out).joints, motion().joints, atol=1e-6)
    assert "lies" not in capsys.readouterr().err


def test_a_wrong_rate_of_a_file_is_corrected_and_said(tmp_path, capsys):
    save_motion(motion(fps=25.0), tmp_path / "a.npz")
    out = load_motion(convert(tmp_path / "a.npz", tmp_path / "b.npz", "in_fps=30"))
    assert out.fps == 30 and len(out) == 61
    assert "a.npz: the file says 25 fps; read as 30, as in_fps= says" in capsys.readouterr().err


def test_every_format_that_is_written_is_read_back(tmp_path):
    """Joints agree where a format keeps them; features keep the shape of the body."""
    save_motion(motion(), tmp_path / "in.npz")
    for name, suffix, atol in (("npz", "npz", 0), ("bvh", "bvh", 1e-4), ("joints22", "npy", 0), ("amass", "npz", 0.2)):
        body = ["body=mean"] if name == "amass" else []
        convert(tmp_path / "in.npz", tmp_path / f"{name}.{suffix}", f"to={name}", *body)
        back = convert(tmp_path / f"{name}.{suffix}", tmp_path / f"{name}_back.npz", f"from={name}", *body)
        np.testing.assert_allclose(load_motion(back).joints, motion().joints, atol=atol)


ASF = """:version 1.10
:name small
:units
  mass 1.0
  length 0.45
  angle deg
:root
  order TX TY TZ RX RY RZ
  axis XYZ
  position 0 0 0
  orientation 0 0 0
:bonedata
{bones}
:hierarchy
  begin
{tree}
  end
"""
# bone of the 31-bone layout: (parent, direction * length)
_TREE = {
    "lhipjoint": ("root", (1.8, -1, 0)),
    "lfemur": ("lhipjoint", (0, -7, 0)),
    "ltibia": ("lfemur", (0, -7, 0)),
    "lfoot": ("ltibia", (0, -1, 2)),
    "rhipjoint": ("root", (-1.8, -1, 0)),
    "rfemur": ("rhipjoint", (0, -7, 0)),
    "rtibia": ("rfemur", (0, -7, 0)),
    "rfoot": ("rtibia", (0, -1, 2)),
    "lowerback": ("root", (0, 2, 0)),
    "upperback": ("lowerback", (0, 2, 0)),
    "thorax": ("upperback", (0, 2, 0)),
    "lowerneck": ("thorax", (0, 1.5, 0)),
    "upperneck": ("lowerneck", (0, 1.5, 0)),
    "head": ("upperneck", (0, 1.5, 0.2)),
    "lclavicle": ("thorax", (3, 1, 0)),
    "lhumerus": ("lclavicle", (5, 0, 0)),
    "lradius": ("lhumerus", (3, 0, 0)),
    "lwrist": ("lradius", (1.5, 0, 0)),
    "rclavicle": ("thorax", (-3, 1, 0)),
    "rhumerus": ("rclavicle", (-5, 0, 0)),
    "rradius": ("rhumerus", (-3, 0, 0)),
    "rwrist": ("rradius", (-1.5, 0, 0)),
}


@pytest.fixture
def acclaim(tmp_path):
    """A small ASF and an AMC of 5 frames in which the root rises by one unit per frame and the left hip turns."""
    bones = ""
    for number, (name, (_, offset)) in enumerate(_TREE.items(), 1):
        length = float(np.linalg.norm(offset))
        direction = " ".join(f"{value / length:.9f}" for value in offset)
        dof = "    dof rx\n    limits (-160 20)\n" if name == "lfemur" else ""
        bones += f"  begin\n    id {number}\n    name {name}\n    direction {direction}\n    length {length:.9f}\n"
        bones += f"    axis 0 0 0 XYZ\n{dof}  end\n"
    tree = "\n".join(f"    {parent} {name}" for name, (parent, _) in _TREE.items())
    (tmp_path / "small.asf").write_text(ASF.format(bones=bones, tree=tree))
    frames = "".join(f"{k + 1}\nroot 0 {15 + k} 0 0 0 0\nlfemur {-10 * k}\n" for k in range(5))
    (tmp_path / "clip.amc").write_text(":FULLY-SPECIFIED\n:DEGREES\n" + frames)
    return tmp_path / "clip.amc", tmp_path / "small.asf"


def test_an_amc_with_its_asf_becomes_joints_in_metres(acclaim, tmp_path):
    amc, asf = acclaim
    out = load_motion(convert(amc, tmp_path / "motion.npz", f"asf={asf}", "fps=120"))
    assert out.fps == 120 and len(out) == 5
    np.testing.assert_allclose(np.diff(out.root[:, 1]), 0.05644, atol=1e-6)
    np.testing.assert_allclose(out.joints[0, SMPL22.index("l_ankle")], np.array([1.8, 0, 0]) * 0.05644, atol=1e-5)


def test_an_amc_becomes_a_bvh(acclaim, tmp_path):
    amc, asf = acclaim
    joints = load_motion(convert(amc, tmp_path / "motion.npz", f"asf={asf}", "fps=120")).joints
    back = load_motion(convert(amc, tmp_path / "motion.bvh", f"asf={asf}", "fps=120"), Reading(metres_per_unit=0.01))
    assert back.fps == 120
    np.testing.assert_allclose(back.joints, joints, atol=1e-5)


def test_what_is_read_is_not_overwritten_and_one_motion_has_no_index(tmp_path):
    save_motion(motion(), tmp_path / "a.npz")
    before = (tmp_path / "a.npz").read_bytes()
    with pytest.raises(InputError, match="the same file"):
        convert(tmp_path / "a.npz", tmp_path / "a.npz", "to_fps=30")
    with pytest.raises(InputError, match=r"a\.npz: index=1, but the file is one motion"):
        convert(tmp_path / "a.npz", tmp_path / "b.bvh", "index=1")
    assert (tmp_path / "a.npz").read_bytes() == before


def test_an_amc_needs_its_skeleton_and_a_rate(acclaim, tmp_path):
    amc, asf = acclaim
    for words, answer in ((("fps=120",), "give asf=PATH"), ((f"asf={asf}",), "carries no frame rate")):
        with pytest.raises(InputError, match=answer):
            convert(amc, tmp_path / "motion.npz", *words)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["from=joints22", "to=humanml623"], "did you mean humanml263?"),
        (["from=joint22", "to=humanml263"], "did you mean joints22"),
        (["from=humanml263", "to=joints22"], "looks like joints22"),
        (["from=joints22", "to=humanml263", "fps=0"], "positive number"),
        (["from=joints22", "to=humanml263", "fps=-5"], "positive number"),
        (["from=joints22", "to=humanml263", "to_fps=nan"], "positive number"),
        (["from=joints22", "to=humanml263", "fps=fast"], "fps=fast"),
        (["from=joints22", "to=humanml263", "mode=blur"], "mode=blur does not exist"),
        (["from=joints22", "to=amc"], "cannot be written"),
        (["from=joints22", "to=bvh"], "contradict"),
        (["from=joints22", "to=kit251"], "no conversion between the two"),
        (["from=joints22"], "missing to="),
        (["from=npz", "to=joints22", "fps=20"], "suffix .npz"),
        (["from=joints22", "to=humanml263", "body=mean"], "leave it out"),
        (["from=joints22", "to=humanml263", "index=0"], "leave index out"),
        (["from=joints22", "to=humanml263", "up=w"], "up=w does not exist"),
        (["from=joints22", "to=humanml263", "asf=a.asf"], "leave it out"),
        (["form=joints22", "to=humanml263"], "did you mean from"),
    ],
)
def test_wrong_words_are_answered_and_nothing_is_written(joints, tmp_path, words, answer):
    with pytest.raises(InputError) as error:
        convert(joints, tmp_path / "out.npy", *words)
    assert answer in str(error.value) and "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["joints.npy"]


@pytest.mark.parametrize(
    ("array", "form", "answer"),
    [
        (np.zeros((30, 251)), "humanml263", "kit251"),
        (np.zeros((30, 263)), "joints22", "humanml263"),
        (np.full((30, 263), np.nan), "humanml263", "not finite"),
        (np.full((30, 22, 3), np.inf), "joints22", "not finite"),
        (np.zeros((0, 22, 3)), "joints22", "[T, 22, 3]"),
        (np.zeros(()), "joints22", "[T, 22, 3]"),
        (motion(frames=1).joints, "joints22", "at least 2"),
        (np.full((30, 22, 3), "a"), "joints22", "numbers"),
    ],
)
def test_wrong_arrays_are_answered_and_nothing_is_written(tmp_path, array, form, answer):
    np.save(tmp_path / "in.npy", array)
    with pytest.raises(InputError) as error:
        convert(tmp_path / "in.npy", tmp_path / "out.npy", f"from={form}", "to=humanml263")
    assert answer in str(error.value)
    assert not (tmp_path / "out.npy").exists()


def test_damaged_and_missing_files_are_answered(joints, tmp_path):
    damaged = tmp_path / "damaged.npy"
    damaged.write_bytes(joints.read_bytes()[:500])
    for source, answer in ((damaged, "not a readable npy"), (tmp_path / "none.npy", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(InputError, match=answer):
            convert(source, tmp_path / "out.npy", "from=joints22", "to=humanml263")
    with pytest.raises(InputError, match=r"folder .* does not exist"):
        convert(joints, tmp_path / "nowhere" / "out.npy", "to=humanml263")


def test_a_rate_that_contradicts_the_file_is_refused(joints, tmp_path):
    convert(joints, tmp_path / "motion.bvh", "fps=20")
    with pytest.raises(InputError, match="to_fps=60"):
        convert(tmp_path / "motion.bvh", tmp_path / "out.npy", "to=joints22", "fps=60")


def test_the_command_ends_with_code_2_and_one_sentence(tmp_path):
    words = ["in=none.npy", "from=joints22", "to=humanml263", "out=x.npy"]
    ended = subprocess.run([sys.executable, "-m", "nerm.convert", *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("error: none.npy does not exist")


@pytest.mark.skipif(not SOURCES, reason="NERM_SOURCES is not set: no official clips to compare with")
def test_official_joints_become_their_official_features(tmp_path):
    official = Path(SOURCES or "") / "data" / "humanml3d" / "golden"
    for name in ("000000.npy", "012314.npy"):
        converted = np.load(convert(official / "new_joints" / name, tmp_path / name, "from=joints22", "to=humanml263", "fps=20"))
        expected = np.load(official / "new_joint_vecs" / name)[:-1]
        assert np.median(np.abs(converted - expected)) < 1e-6
        assert np.abs(converted - expected)[:-80].max() < 1e-4
