"""Motions as files and pictures: what is saved is loaded again, nothing is half written, and wrong files are named."""

import errno
from pathlib import Path

import numpy as np
import pytest

from nerm import atomic
from nerm.errors import InputError
from nerm.motion import SMPL22, Motion, Skeleton, resample
from nerm.motion.features import features_from_motion
from nerm.motion.files import WRITABLE, Reading, Writing, check_writable, load_motion, save_motion
from nerm.motion.skeleton import forward_kinematics, joints_from_directions
from nerm.render import filmstrip, gif_centiseconds, parse_size, render


@pytest.fixture
def motion() -> Motion:
    """Half a second of marching on the spot, 60 fps."""
    t = np.arange(31) / 60
    directions = np.tile(SMPL22.offsets[1:] / SMPL22.lengths[1:, None], (31, 1, 1))
    for bone, sign in ((3, 1), (4, -1)):
        angle = 0.5 * sign * np.sin(2 * np.pi * t)
        directions[:, bone] = np.stack([0 * t, -np.cos(angle), np.sin(angle)], axis=-1)
    root = np.stack([0.1 * t, 0.9 + 0 * t, t], axis=-1)
    return Motion(joints_from_directions(root, directions, SMPL22), 60)


def test_an_npz_written_and_read_back_is_the_same_motion(motion, tmp_path):
    rotations = np.tile(np.eye(3), (31, 22, 1, 1))
    save_motion(Motion(motion.joints, 59.94, SMPL22, rotations), tmp_path / "a.npz")
    back = load_motion(tmp_path / "a.npz")
    np.testing.assert_array_equal(back.joints, motion.joints.astype(np.float32))
    np.testing.assert_array_equal(back.rotations, rotations)
    assert back.fps == 59.94 and back.skeleton == SMPL22
    with np.load(tmp_path / "a.npz") as file:
        assert file["joints"].dtype == np.float32 and str(file["skeleton"]) == "smpl22"


def test_a_motion_of_another_skeleton_survives_an_npz(tmp_path):
    skeleton = Skeleton("arm", ("shoulder", "elbow"), (-1, 0), np.array([[0, 0, 0], [0, -0.3, 0]]))
    joints = forward_kinematics(np.tile(np.eye(3), (4, 2, 1, 1)), np.zeros((4, 3)), skeleton)
    save_motion(Motion(joints, 30, skeleton), tmp_path / "a.npz")
    assert load_motion(tmp_path / "a.npz").skeleton == skeleton


def test_a_bvh_saved_and_loaded_holds_the_same_joints(motion, tmp_path):
    save_motion(motion, tmp_path / "a.bvh")
    back = load_motion(tmp_path / "a.bvh")
    assert back.fps == 60
    np.testing.assert_allclose(back.joints, motion.joints, atol=1e-4)


def test_an_npy_needs_a_rate(motion, tmp_path):
    save_motion(motion, tmp_path / "a.npy")
    assert load_motion(tmp_path / "a.npy", Reading(fps=60)).fps == 60
    with pytest.raises(InputError, match=r"carries no frame rate; give fps="):
        load_motion(tmp_path / "a.npy")


def test_a_rate_that_contradicts_the_file_is_refused(motion, tmp_path):
    for name in ("a.npz", "a.bvh"):
        save_motion(motion, tmp_path / name)
        assert load_motion(tmp_path / name, Reading(fps=60)).fps == 60
        with pytest.raises(InputError, match=r"carries 60 fps, but fps=30 was given"):
            load_motion(tmp_path / name, Reading(fps=30))


@pytest.mark.parametrize("name", ["a.fbx", "a", "a.npz.txt"])
def test_an_unknown_suffix_is_answered_with_the_list(motion, tmp_path, name):
    for use in (lambda: save_motion(motion, tmp_path / name), lambda: check_writable(tmp_path / name)):
        with pytest.raises(InputError) as error:
            use()
        assert all(suffix in str(error.value) for suffix in WRITABLE)
    with pytest.raises(InputError, match=r"\.npz, \.bvh, \.npy"):
        load_motion(tmp_path / name)


def test_a_place_that_cannot_be_written_is_known_before_any_work(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        check_writable(tmp_path / "nowhere" / "a.bvh")
    (tmp_path / "b.bvh").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        check_writable(tmp_path / "b.bvh")


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.bvh", "a.gif", "a.html"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(motion, tmp_path, monkeypatch, name):
    path = tmp_path / name
    path.write_bytes(b"old")

    def fail(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(target))

    monkeypatch.setattr(atomic.Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_motion(motion, path)
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.bvh"])
@pytest.mark.parametrize("content", [b"", b"not a motion", None])
def test_damaged_and_cut_off_files_are_named(motion, tmp_path, name, content):
    path = tmp_path / name
    save_motion(motion, path)
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    with pytest.raises(InputError, match=name):
        load_motion(path, Reading(fps=60))


def test_a_wrong_shape_and_a_value_that_is_not_finite_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((5, 23, 3)))
    with pytest.raises(InputError, match="22"):
        load_motion(tmp_path / "a.npy", Reading(fps=20))
    joints = np.zeros((5, 22, 3))
    joints[3, 4, 1] = np.nan
    np.save(tmp_path / "a.npy", joints)
    with pytest.raises(InputError, match="frame 3, joint 'l_knee'"):
        load_motion(tmp_path / "a.npy", Reading(fps=20))
    np.savez(tmp_path / "a.npz", place=joints[0, 0])
    with pytest.raises(InputError, match="holds place; expected 'joints'"):
        load_motion(tmp_path / "a.npz", Reading(fps=20))
    with pytest.raises(InputError, match="does not exist"):
        load_motion(tmp_path / "gone.npz")


@pytest.mark.parametrize(("unit", "factor"), [("centimetres", 100), ("millimetres", 1000), ("inches", 1 / 0.0254), ("feet", 1 / 0.3048)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_joints_in_another_unit_are_an_error_that_names_it(motion, tmp_path, unit, factor, suffix):
    save_motion(Motion(motion.joints * factor, 60), tmp_path / f"a{suffix}")
    with pytest.raises(InputError, match=rf"a person of .* m from ankle to head; .* be {unit}: give metres_per_unit={1 / factor:.4g}"):
        load_motion(tmp_path / f"a{suffix}", Reading(fps=60))
    np.testing.assert_allclose(
        load_motion(tmp_path / f"a{suffix}", Reading(fps=60, metres_per_unit=1 / factor)).joints, motion.joints, atol=1e-5
    )


def test_a_body_along_another_axis_is_said_and_what_is_said_helps(motion, tmp_path, capsys):
    z_up = motion.joints[..., [0, 2, 1]] * [1, -1, 1]
    np.savez(tmp_path / "a.npz", joints=z_up, fps=60.0)
    given = load_motion(tmp_path / "a.npz")
    assert "a.npz: the body lies along z in most frames; y up is expected" in capsys.readouterr().err
    np.testing.assert_allclose(given.joints, z_up, atol=1e-6)
    turned = load_motion(tmp_path / "a.npz", Reading(up="z"))
    np.testing.assert_allclose(turned.joints, motion.joints, atol=1e-6)
    load_motion(tmp_path / "a.npz", Reading(up="y"))
    assert capsys.readouterr().err == "", "who says which axis is up is not told that it is another one"
    save_motion(motion, tmp_path / "right.npz")
    load_motion(tmp_path / "right.npz")
    assert capsys.readouterr().err == ""


def test_the_features_of_an_npy_become_joints_and_stay_as_they_were(motion, tmp_path):
    features = features_from_motion(motion)
    np.save(tmp_path / "a.npy", features)
    back = load_motion(tmp_path / "a.npy", Reading(fps=20))
    assert back.fps == 20 and back.joints.shape == (30, 22, 3) and back.features.format == "humanml263"
    np.testing.assert_array_equal(back.features.values, features)


# ---- pictures ----


def test_a_gif_plays_in_real_time_at_25_pictures_a_second(motion, tmp_path):
    from PIL import Image

    render([motion, resample(motion, 20)], tmp_path / "a.gif", titles=["60", "20"])
    with Image.open(tmp_path / "a.gif") as gif:
        duration = 0
        for k in range(gif.n_frames):
            gif.seek(k)
            duration += gif.info["duration"]
        assert gif.size == (2 * 320, 360) and duration == pytest.approx(1000 * (0.5 + 0.04), abs=40)
    assert (tmp_path / "a.gif").stat().st_size < 300_000


def test_left_and_right_limbs_have_different_colours(motion, tmp_path):
    from PIL import Image

    filmstrip([motion], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3).astype(int)
    red, blue = pixels[:, 0] - pixels[:, 2] > 80, pixels[:, 2] - pixels[:, 0] > 80
    assert red.sum() > 500 and blue.sum() > 500


def test_a_gif_says_the_rate_that_it_cannot_keep_and_has_the_size_asked_for(motion, tmp_path, capsys):
    from PIL import Image

    render([motion], tmp_path / "a.gif", size=(100, 120))
    assert "a.gif: 25 pictures a second, of a motion at 60 fps" in capsys.readouterr().err
    render([resample(motion, 20)], tmp_path / "b.gif", size=(100, 120))
    assert capsys.readouterr().err == ""
    with Image.open(tmp_path / "b.gif") as gif:
        assert gif.size == (100, 120) and gif.info["duration"] == 50
    assert [gif_centiseconds(fps) for fps in (10, 12.5, 24, 25, 30, 120)] == [10, 8, 5, 4, 4, 4]


@pytest.mark.parametrize(
    ("made_by", "title"),
    [
        ({"text": "a person waves", "system": "nerm"}, "a person waves"),
        ({"texts": ["a person walks", "a person jumps"], "system": "nerm"}, "a person walks, then a person jumps"),
        ({"system": "nerm"}, "any motion"),
        ({}, "a"),
    ],
)
def test_a_picture_is_headed_by_what_was_asked_for(motion, tmp_path, made_by, title):
    save_motion(motion, tmp_path / "a.html", Writing(made_by=made_by))
    assert f"<title>{title}</title>" in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize("text", ["640", "640x", "axb", "641x480", "2x2", "640x480x3"])
def test_a_size_that_no_video_has_is_refused(text):
    with pytest.raises(InputError, match=f"size={text}; expected"):
        parse_size(text)
    assert parse_size("640x480") == (640, 480)


def test_a_video_has_the_size_and_the_rate_of_its_fastest_motion(motion, tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    render([resample(motion, 120)], tmp_path / "a.mp4", size=(128, 96))
    about = next(imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4")))
    assert about["fps"] == 120 and about["size"] == (128, 96) and about["duration"] == pytest.approx(0.5, abs=0.02)


def test_an_mp4_is_written_or_what_is_missing_is_said(motion, tmp_path, monkeypatch):
    pytest.importorskip("imageio_ffmpeg")
    save_motion(motion, tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match="needs imageio-ffmpeg"):
        check_writable(tmp_path / "b.mp4")


def test_pictures_of_nothing_or_with_too_few_titles_are_refused(motion, tmp_path):
    with pytest.raises(InputError, match="no motion"):
        render([], tmp_path / "a.gif")
    with pytest.raises(InputError, match="1 titles for 2 motions"):
        render([motion, motion], tmp_path / "a.gif", titles=["one"])
