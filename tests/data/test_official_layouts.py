"""Official layouts become datasets: ids, captions, pieces, mirror images, statistics, features, poses; what is damaged is said."""

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from miniature import CAPTIONS, MINIATURES, PIECE, amass, body_model, moving, native, text_line, write_features

from nerm.data.actions.uestc import video_of
from nerm.data.dataset import load_dataset, mirror_images, preparation, published_statistics
from nerm.data.t2m.amass import official_frames, segment_joints
from nerm.data.t2m.statistics import of_the_evaluator
from nerm.data.t2m.texts import Line, pieces, unmirrored
from nerm.errors import InputError
from nerm.motion import SMPL22
from nerm.motion.features import FEATURES_251, FEATURES_263, decode
from nerm.motion.pickles import load_arrays
from nerm.motion.skeleton import bone_directions
from nerm.motion.smpl import load_body_model
from nerm.prepare import main, prepare

SHARED = Path(os.environ.get("NERM_SOURCES", "/nowhere")) / "data" / "humanml3d"


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Name -> (folder of its sources, folder of prepared datasets): every miniature, prepared once."""
    root = tmp_path_factory.mktemp("official")
    for name, make in MINIATURES.items():
        prepare(preparation(name), make(root / name), root / "data" / name, workers=1)
    return root


def opened(official, name):
    return load_dataset(name, official / "data")


@pytest.mark.parametrize("name", MINIATURES)
def test_every_item_has_its_motion_which_starts_above_the_origin_and_faces_z(official, name):
    dataset = opened(official, name)
    ids = {split: [item.id for item in dataset.items(split)] for split in ("train", "val", "test")}
    assert all(ids.values()) and all(len(set(of_split)) == len(of_split) for of_split in ids.values())
    for item in dataset.items("test"):
        motion = dataset.motion(item)
        assert motion.fps == item.fps and motion.seconds == pytest.approx(item.seconds) and item.captions
        assert motion.skeleton.names == dataset.skeleton.names
        np.testing.assert_allclose(motion.root[0, [0, 2]], 0, atol=1e-6)
        left, right = (motion.joints[0, dataset.skeleton.index(f"{side}_hip")] for side in "lr")
        assert left[0] > right[0]  # it faces +z: the left hip is at +x
    with pytest.raises(InputError, match="item 'nobody' is not in dataset"):
        dataset.motion(type(dataset.items("test")[0])("nobody", "", 20.0, 1.0))


@pytest.mark.parametrize(("name", "format"), [("humanml3d", FEATURES_263), ("kit", FEATURES_251)])
def test_features_statistics_and_joints_are_the_published_ones(official, name, format):
    dataset, sources = opened(official, name), official / name
    assert dataset.base_fps == format.fps
    for ours, file in zip(published_statistics(dataset), ("Mean.npy", "Std.npy"), strict=True):
        np.testing.assert_array_equal(ours, np.load(sources / file))
    item = dataset.items("test")[3]
    motion = dataset.motion(item)
    published = np.load(sources / "new_joint_vecs" / f"{item.id}.npy")
    assert motion.features.format == format.name and np.array_equal(motion.features.values, published)
    joints = np.load(sources / "new_joints" / f"{item.id}.npy") * format.metres_per_unit
    np.testing.assert_allclose(motion.joints, joints, atol=2e-3)  # the published heading is a smoothed one, so frame 0 may face a bit aside
    bones = np.linalg.norm(motion.joints[:, 1:] - motion.joints[:, motion.skeleton.parents[1:]], axis=-1)
    np.testing.assert_allclose(bones, np.broadcast_to(dataset.skeleton.lengths[1:], bones.shape), atol=1e-5)


def test_a_line_with_times_is_an_item_whose_second_has_twenty_frames(official):
    for name in ("humanml3d", "kit"):
        dataset = opened(official, name)
        item = next(item for item in dataset.items("train") if item.id == "A_000000")
        assert item.captions == (PIECE,) and item.group == "000000" and dataset.tokens(item)[0].startswith("a/DET person/NOUN")
        whole = np.load(official / name / "new_joint_vecs" / "000000.npy")
        cut = dataset.motion(item).features.values
        assert np.array_equal(cut, whole[10:58][: len(whole) - 10])  # 0.5 and 2.9 s of a text file, at 12.5 fps too
        assert mirror_images(dataset)["A_M000000"] == "A_000000" and mirror_images(dataset)["M000001"] == "000001"


def test_the_length_rule_and_the_names_of_pieces():
    lines = [Line("whole", "", 0, 0), Line("short", "", 0.0, 1.9), Line("long", "", 1.0, 4.5), Line("other", "", 2.0, 9.0)]
    made = list(pieces("M000001", 100, lines, 40))
    assert [(p.name, p.start, p.end) for p in made] == [("M000001", 0, 100), ("B_M000001", 20, 90), ("C_M000001", 40, 100)]
    assert unmirrored("B_M000001") == "B_000001"
    assert not list(pieces("x", 39, lines, 40)) and not list(pieces("x", 200, lines, 40)) and list(pieces("x", 199, lines, 40))
    assert not list(pieces("x", 30, lines, 40)) and list(pieces("x", 30, lines[:1], 24))


def test_clips_that_cannot_be_used_are_left_out_and_counted(tmp_path, capsys):
    sources = write_features(tmp_path / "humanml3d", FEATURES_263)
    motions = sources / "new_joint_vecs"
    broken = np.load(motions / "000003.npy")
    broken[7, 5] = np.nan
    np.save(motions / "000003.npy", broken)
    (motions / "000004.npy").write_bytes(b"no array")
    (motions / "000011.npy").unlink()
    np.save(motions / "000012.npy", np.load(motions / "000012.npy")[:39])
    (sources / "texts" / "000013.txt").unlink()
    words = ["dataset=humanml3d", f"sources={sources}", f"out={tmp_path / 'made' / 'humanml3d'}", "workers=1"]
    assert main([*words, "doctor=true"]) == 1
    page = capsys.readouterr().out
    assert "train: 1 with values that are not numbers (000003)" in page and "train: 1 damaged (000004)" in page
    assert "test: 1 without a motion file (000011)" in page and "test: 1 too short or too long (000012)" in page
    assert "test: 1 without a text file (000013)" in page and "4 things to mend" not in page
    assert main(words) == 0
    left_out = json.loads((tmp_path / "made" / "humanml3d" / "manifest.json").read_text())["left_out"]
    assert {kind: list(names) for kind, names in left_out.items()} == {
        "with values that are not numbers": ["000003"],
        "damaged": ["000004"],
        "without a motion file": ["000011"],
        "too short or too long": ["000012"],
        "without a text file": ["000013"],
    }
    dataset = load_dataset("humanml3d", tmp_path / "made")
    assert len(dataset.items("test")) == 12 - 3 and "M000003" not in mirror_images(dataset)


def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    sources, target = write_features(tmp_path / "kit", FEATURES_251, 4.0), tmp_path / "made" / "kit"
    words = [f"sources={sources}", f"out={target}", "workers=1"]
    with pytest.raises(InputError, match=r"features of shape \[\d+, 251\]; dataset 'humanml3d' has \[T, 263\]: give dataset=kit"):
        shutil.copytree(sources, tmp_path / "as_humanml3d")
        for name in ("Mean.npy", "Std.npy"):
            np.save(tmp_path / "as_humanml3d" / name, np.ones(263))
        main(["dataset=humanml3d", f"sources={tmp_path / 'as_humanml3d'}", f"out={target}"])
    np.save(sources / "Std.npy", np.ones(263))
    with pytest.raises(InputError, match=r"Std.npy has shape \[263\]; expected 251 finite numbers"):
        main(["dataset=kit", *words])
    (sources / "Std.npy").unlink()
    with pytest.raises(InputError, match=r"Std\.npy is missing; features are read with the dataset's own statistics"):
        main(["dataset=kit", *words])
    assert main(["dataset=kit", *words, "doctor=true"]) == 1
    assert not target.exists() and not target.with_name("kit.partial").exists()
    with pytest.raises(InputError, match="is not downloaded; give sources=DIR"):
        monkeypatch.delenv("NERM_SOURCES", raising=False)
        main(["dataset=kit", f"out={target}"])
    (sources / "texts" / "000001.txt").write_text("a person walks\n")
    np.save(sources / "Std.npy", np.ones(251))
    with pytest.raises(InputError, match=r"000001.txt, line 1: 'a person walks'; expected caption#word/POS"):
        main(["dataset=kit", *words])


def test_damage_to_a_prepared_array_is_found(official, tmp_path, capsys):
    place = tmp_path / "kit"
    shutil.copytree(official / "data" / "kit", place)
    values = np.load(place / "features.npy")
    values[100, 3] += 1
    np.save(place / "features.npy", values)
    assert main(["dataset=kit", f"sources={official / 'kit'}", f"out={place}", "doctor=true"]) == 1
    assert "features.npy: delete the folder and prepare it again" in capsys.readouterr().out


def test_humanact12_keeps_its_poses_and_has_one_split(official):
    dataset = opened(official, "humanact12")
    content = load_arrays(official / "humanact12" / "humanact12poses.pkl")
    items = dataset.items("test")
    assert [item.id for item in items] == [item.id for item in dataset.items("train")] and items[4].label == "drink"
    assert set(items[4].captions).isdisjoint(dataset.items("train")[4].captions)  # the same clips, another sentence
    poses, root = dataset.poses(items[4])
    np.testing.assert_allclose(poses, content["poses"][4], atol=1e-6)
    np.testing.assert_allclose(root, content["joints3D"][4][:, 0], atol=1e-6)
    up = dataset.motion(items[4]).joints
    assert up[:, 15, 1].min() > up[:, 0, 1].max() > 0.5  # the file is upside down, the motion is not
    with pytest.raises(InputError, match="dataset 'kit' has no poses of a body model"):
        opened(official, "kit").poses(opened(official, "kit").items("test")[0])


def test_uestc_is_split_by_subject_and_turned_to_the_front(official):
    dataset, sources = opened(official, "uestc"), official / "uestc"
    train, test = ({item.id for item in dataset.items(split)} for split in ("train", "test"))
    assert len(train) == 5 and len(test) == 6 and all("_p001_" in name or "_p002_" in name for name in train)
    assert not any("_d8_" in name for name in train | test) and "a12_d1_p001_c1_color" not in train  # 44 frames
    turned = next(item for item in dataset.items("test") if item.id == "a5_d2_p003_c2_color")
    assert turned.label == "left-lunging" and turned.group == "p003-a5-d2"
    place = (sources / "info" / "names.txt").read_text().split().index(f"{turned.id}.avi")
    cache = load_arrays(sources / "vibe_cache_refined.pkl")
    hips = cache["joints3d"][place][:, 8] + load_arrays(sources / "globtrans_usez.pkl")[place]
    poses, root = dataset.poses(turned)
    # View 2 is turned by -90 degrees about y: z becomes -x and x becomes z.
    np.testing.assert_allclose(root, hips[:, [2, 1, 0]] * [-1, 1, 1], atol=1e-5)
    np.testing.assert_allclose(poses[:, 3:], cache["pose"][place][:, 3:], atol=1e-6)
    assert video_of("a3_d2_p007_c1_color").turn.tolist() == np.eye(3).tolist()
    with pytest.raises(InputError, match=r"video 'walk\.avi'; expected a name such as"):
        video_of("walk.avi")


class Calls:
    """What a dangerous pickle does."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("content", "named"),
    [(Calls(), "posix.system"), ({"poses": Path("x")}, "pathlib"), (np.array([Calls()], dtype=object), "posix.system")],
)
def test_a_pickle_that_holds_more_than_arrays_is_refused_by_name(tmp_path, content, named):
    (tmp_path / "humanact12poses.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=f"asks for {named}.*numpy arrays and plain containers alone"):
        main(["dataset=humanact12", f"sources={tmp_path}", f"out={tmp_path / 'made'}"])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_every_pickle_protocol_are_read(tmp_path, protocol):
    content = {"a": [np.arange(6.0).reshape(2, 3), np.float64(2.5)], "b": ({1: "x"}, np.array([1, 2], dtype=np.int32))}
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    read = load_arrays(tmp_path / "file.pkl")
    assert np.array_equal(read["a"][0], content["a"][0]) and read["a"][1] == 2.5 and read["b"][0] == {1: "x"}
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(content, protocol=protocol)[:-9])
    with pytest.raises(InputError, match="damaged or cut off"):
        load_arrays(tmp_path / "file.pkl")


def test_every_sixth_frame_of_a_native_segment_is_the_official_one(tmp_path):
    """Official frames 10 to 69 of a recording at 120 fps are native frames 60 to 414. It moves on a line, at a known speed."""
    sources = native(tmp_path)
    prepare(preparation("humanml3d-native"), sources, tmp_path / "made" / "humanml3d-native", workers=1)
    dataset = load_dataset("humanml3d-native", tmp_path / "made")
    plain = {item.id: item for split in ("train", "val", "test") for item in dataset.items(split)}
    assert {item.fps for item in plain.values()} == {20.0, 100.0, 120.0, 250.0}
    first = plain["000000"]
    assert first.fps == 120 and first.seconds == pytest.approx(59 / 20)  # 60 official frames
    assert plain["000004"].seconds == pytest.approx(59 * 12 / 250)  # int(250 / 20) = 12 frames are one official frame
    assert plain["000015"].fps == 20 and plain["000015"].seconds == pytest.approx(3.0)
    motion = dataset.motion(first)
    # The recording moves 0.3 m/s along x and 0.4 m/s along y of AMASS: 0.5 m/s over the ground, scaled by the leg length 1.
    path = np.linalg.norm(np.diff(motion.root[:, [0, 2]], axis=0), axis=1) * 120
    np.testing.assert_allclose(path, 0.5, atol=2e-3)
    mirror = dataset.motion(plain["M000000"])
    # The skeleton that all clips are brought to has unequal legs, so places differ by millimetres; directions do not.
    up, expected = (bone_directions(joints, SMPL22)[..., 1] for joints in (mirror.joints, motion.mirrored().joints))
    np.testing.assert_allclose(up, expected, atol=1e-5)
    assert mirror_images(dataset)["M000000"] == "000000"
    file = "amass_data/KIT/3/walk0_poses.npz"
    with np.load(sources / file) as recorded:  # as the official notebooks do it: every sixth frame, axes exchanged, segment, x turned
        body = load_body_model(sources / "body_models" / "smplh" / "male" / "model.npz")
        joints = body.joints(recorded["poses"][::6], recorded["trans"][::6], recorded["betas"])
    official_clip = (joints @ np.array([[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]))[10:70] * [-1, 1, 1]
    np.testing.assert_allclose(segment_joints(sources, file, 6, (10, 70))[::6], official_clip, atol=1e-12)


def test_official_frames_with_the_trimmed_head(tmp_path):
    for collection, fps, head in (
        ("KIT", 120.0, 0),
        ("MPI_HDM05", 120.0, 60),
        ("Transitions_mocap", 250.0, 10),
        ("TotalCapture", 60.0, 20),
    ):
        amass(tmp_path, f"{collection}/x", fps, 10.0, 0)
        path = tmp_path / "amass_data" / collection / "x_poses.npz"
        assert official_frames(path, 5, 65) == (fps, int(fps / 20), (head + 5, head + 65))
        count = -(-(round(10 * fps) + 1) // int(fps / 20))
        assert official_frames(path, 0, -1)[2] == (head, count - 1) and official_frames(path, 0, 10_000)[2] == (head, count)


def test_a_body_moves_with_its_shape_and_pose(tmp_path):
    body_model(tmp_path)
    body = load_body_model(tmp_path / "body_models" / "smplh" / "male" / "model.npz")
    rest = body.joints(np.zeros((1, 156)), np.zeros((1, 3)), np.zeros(16))[0]
    np.testing.assert_allclose(rest[1:] - rest[list(SMPL22.parents[1:])], SMPL22.offsets[1:], atol=1e-12)
    larger = body.joints(np.zeros((1, 156)), np.zeros((1, 3)), np.eye(16)[0])[0]
    np.testing.assert_allclose(larger, 1.1 * rest, atol=1e-12)
    pose = np.zeros((2, 156))
    pose[1, 3 * 18 : 3 * 19] = [0, 0, np.pi / 2]  # the left elbow: the forearm, which points down, turns to +x
    bent = body.joints(pose, np.array([[0, 0, 0], [1.0, 2, 3]]), np.zeros(10))
    np.testing.assert_allclose(bent[1, 18] - bent[0, 18], [1, 2, 3], atol=1e-12)
    np.testing.assert_allclose(bent[1, 20] - bent[1, 18], [SMPL22.lengths[20], 0, 0], atol=1e-12)
    with pytest.raises(InputError, match=r"register at mano\.is\.tue\.mpg\.de"):
        load_body_model(tmp_path / "model.npz")


def test_a_missing_recording_and_a_wrong_model_are_said(tmp_path, capsys):
    sources = native(tmp_path)
    shutil.rmtree(sources / "amass_data" / "SFU")
    assert main(["dataset=humanml3d-native", f"sources={sources}", f"out={tmp_path / 'made'}", "doctor=true"]) == 1
    page = capsys.readouterr().out
    assert "missing  SFU: 3 of 3 recordings of the index" in page and "6 listed clips without a recording" in page
    np.savez(sources / "body_models" / "smplh" / "male" / "model.npz", v_template=np.zeros((3, 3)))
    with pytest.raises(InputError, match=r"male/model.npz is no SMPL-H model \(J_regressor"):
        main(["dataset=humanml3d-native", f"sources={sources}", f"out={tmp_path / 'made'}"])
    assert not (tmp_path / "made").exists()


@pytest.mark.skipif(not (SHARED / "golden").is_dir(), reason="the reference files of HumanML3D are not here")
def test_the_published_reference_clips_are_read_as_published(tmp_path):
    sources = tmp_path / "humanml3d"
    shutil.copytree(SHARED / "golden", sources)
    for name in ("Mean.npy", "Std.npy"):
        shutil.copy(SHARED / name, sources)
    clips = {path.stem for path in (sources / "new_joint_vecs").glob("*.npy")}
    for name in ("train.txt", "val.txt", "test.txt"):  # the published lists, of the clips that are here
        (sources / name).write_text("\n".join(line for line in (SHARED / name).read_text().split() if line in clips) + "\n")
    (sources / "texts").mkdir()
    for clip in (sources / "new_joint_vecs").glob("*.npy"):
        (sources / "texts" / f"{clip.stem}.txt").write_text(text_line(CAPTIONS[0]) + "\n")
    prepare(preparation("humanml3d"), sources, tmp_path / "made" / "humanml3d", workers=1)
    dataset = load_dataset("humanml3d", tmp_path / "made")
    items = {item.id: item for split in ("train", "val", "test") for item in dataset.items(split)}
    lengths = {path.stem: len(np.load(path)) for path in (sources / "new_joint_vecs").glob("*.npy")}
    assert set(items) == {name for name, frames in lengths.items() if 40 <= frames < 200} and "000001" not in items
    for item in items.values():
        motion = dataset.motion(item)
        published = np.load(sources / "new_joints" / f"{item.id}.npy")
        np.testing.assert_allclose(motion.joints, published, atol=2e-4)
        assert np.array_equal(motion.features.values, np.load(sources / "new_joint_vecs" / f"{item.id}.npy"))
        np.testing.assert_allclose(decode(motion.features.values), published, atol=1e-5)


@pytest.mark.skipif(not (SHARED.parent / "kit").is_dir(), reason="the reference files of KIT-ML are not here")
def test_the_doctor_knows_the_statistics_of_the_evaluator(official):
    """The statistics that are published beside KIT-ML's files are the evaluator's; those of HumanML3D are its own."""
    std = {path: np.load(SHARED.parent / path) for path in ("kit/Std.npy", "evaluator_meta/t2m/std.npy", "humanml3d/Std.npy")}
    assert [of_the_evaluator(values) for values in std.values()] == [True, True, False]


def test_both_sides_of_a_skeleton_are_exchanged_by_mirroring(official):
    """A statue with the left foot forward has, mirrored, the right foot forward, on 21 joints as on 22."""
    for name in ("humanml3d", "kit"):
        dataset = opened(official, name)
        motion = dataset.motion(dataset.items("train")[0])
        mirror, skeleton = motion.mirrored(), motion.skeleton
        left, right = (skeleton.index(f"{side}_foot") for side in "lr")
        np.testing.assert_array_equal(mirror.joints[:, right], motion.joints[:, left] * [-1, 1, 1])
        assert np.array_equal(skeleton.left_right[skeleton.left_right], np.arange(len(skeleton)))
    assert moving(SMPL22, 1.0, 20.0, 0).shape == (21, 22, 3)
