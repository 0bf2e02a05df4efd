"""Miniatures of the official datasets: made-up motion in exactly the official layouts."""

import pickle
from pathlib import Path

import numpy as np

from nerm.data.actions.labels import UESTC
from nerm.motion import SMPL22
from nerm.motion.features import FEATURES_251, FEATURES_263, FeatureFormat, decode, process
from nerm.motion.skeleton import joints_from_directions
from nerm.words import mirror_caption, tag

SPLITS = {"train": range(8), "val": range(8, 10), "test": range(10, 16)}
CAPTIONS = ("a person jogs ahead and veers to the left", "a person raises the left hand and waves")
"""Sentences whose embeddings ship, so that no text encoder is loaded."""
PIECE = "a person raises the left hand and lowers it again"


def moving(skeleton, seconds: float, fps: float, seed: int) -> np.ndarray:
    """Somebody who swings all limbs and walks, in metres. [T, J, 3]"""
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * fps) + 1)[:, None, None] / fps
    rate, phase = random.uniform(0.2, 1.5, (2, 1, len(skeleton) - 1, 3))
    bones = skeleton.axes[1:] + 0.25 * np.sin(2 * np.pi * rate * t + 6 * phase)
    bones /= np.linalg.norm(bones, axis=-1, keepdims=True)
    height = 0.9 * skeleton.lengths.sum() / 4 + 0.03 * np.sin(4 * t[:, 0] + seed)
    root = np.concatenate([0.1 * np.sin(t[:, 0]), height, 0.4 * t[:, 0]], axis=1)
    return joints_from_directions(root, bones, skeleton)


def text_line(caption: str, start: float = 0.0, end: float = 0.0) -> str:
    return f"{caption}#{' '.join(f'{word}/{pos}' for word, pos in tag(caption))}#{start}#{end}"


def write_texts(folder: Path, name: str, lines: list[tuple]) -> None:
    """The text file of a clip and of its mirror image."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.txt").write_text("".join(text_line(*line) + "\n" for line in lines))
    (folder / f"M{name}.txt").write_text("".join(text_line(mirror_caption(line[0]), *line[1:]) + "\n" for line in lines))


def write_lists(folder: Path, splits=SPLITS) -> None:
    names = {split: [f"{prefix}{number:06d}" for prefix in ("", "M") for number in numbers] for split, numbers in splits.items()}
    for split, ids in names.items():
        (folder / f"{split}.txt").write_text("\n".join(ids) + "\n")
    (folder / "all.txt").write_text("\n".join([name for ids in names.values() for name in ids]) + "\n")


def write_features(folder: Path, format: FeatureFormat, seconds: float = 3.0, clips: int = 16) -> Path:
    """new_joint_vecs/, new_joints/, texts/, statistics and lists. Clip 0 has a line with times: from 0.5 to 2.9 s, which is a piece."""
    for name in ("new_joint_vecs", "new_joints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    everything = []
    skeleton = format.skeleton
    target = skeleton.with_lengths(skeleton.lengths / format.metres_per_unit)
    for number in range(clips):
        joints = moving(skeleton, seconds + 0.4 * number % 1, format.fps, number) / format.metres_per_unit
        mirror = joints[:, skeleton.left_right] * np.array([-1.0, 1.0, 1.0])
        for prefix, place in (("", joints), ("M", mirror)):
            features = process(place, format, target)[0].astype(np.float32)
            np.save(folder / "new_joint_vecs" / f"{prefix}{number:06d}.npy", features)
            np.save(folder / "new_joints" / f"{prefix}{number:06d}.npy", decode(features, format))
            everything.append(features)
        lines = [(caption, 0.0, 0.0) for caption in CAPTIONS]
        write_texts(folder / "texts", f"{number:06d}", [*lines, (PIECE, 0.5, 2.9)] if number == 0 else lines)
    frames = np.concatenate(everything)
    std = frames.std(axis=0)
    for columns in format.slices.values():
        std[columns] = std[columns].mean()
    np.save(folder / "Mean.npy", frames.mean(axis=0))
    np.save(folder / "Std.npy", np.maximum(std, 1e-3))
    write_lists(folder)
    return folder


def humanml3d(folder: Path) -> Path:
    return write_features(folder, FEATURES_263)


def kit(folder: Path) -> Path:
    return write_features(folder, FEATURES_251, 4.0)


def humanact12(folder: Path, clips: int = 24) -> Path:
    """humanact12poses.pkl; the axes are those of a camera, y down."""
    folder.mkdir(parents=True, exist_ok=True)
    poses, joints = [], []
    for number in range(clips):
        place = moving(SMPL22, 2.0 + number % 3, 20.0, number) * np.array([1.0, -1.0, -1.0])
        hands = place[:, 20:22] + (place[:, 20:22] - place[:, 18:20]) * 0.3
        joints.append(np.concatenate([place, hands], axis=1))
        poses.append(0.1 * np.random.default_rng(number).standard_normal((1, 72)) * np.ones((len(place), 1)))
    with (folder / "humanact12poses.pkl").open("wb") as file:
        pickle.dump({"poses": poses, "joints3D": joints, "y": [number % 12 for number in range(clips)]}, file)
    return folder


def uestc(folder: Path) -> Path:
    """The pickles of VIBE's poses, and info/. Subjects 1, 2 (training) and 3, 4 (tests); side 2 has a view 8, which is left out."""
    (folder / "info").mkdir(parents=True, exist_ok=True)
    names = [
        f"a{action}_d{view}_p{subject:03d}_c{side}_color.avi"
        for subject in (1, 2, 3, 4)
        for action, view, side in ((0, 0, 1), (5, 2, 2), (7, 8, 2), (12, 1, 1))
    ]
    random = np.random.default_rng(0)
    frames = [70 if "p001_c1" not in name or "a12" not in name else 44 for name in names]  # one training clip is too short
    t = [np.arange(count)[:, None] / 30 for count in frames]
    poses = [(0.2 * np.sin(2 * time + random.uniform(0, 6, 72)) + np.eye(72)[0] * np.pi).astype(np.float32) for time in t]
    joints = [random.uniform(-1, 1, (1, 49, 3)) + 0.0 * time[..., None] for time in t]
    moved = [np.concatenate([0.3 * time, 0.03 * np.sin(4 * time), 0.1 * time], axis=1) for time in t]
    for name, content in (("vibe_cache_refined", {"pose": poses, "joints3d": joints}), ("globtrans_usez", moved)):
        with (folder / f"{name}.pkl").open("wb") as file:
            pickle.dump(content, file, protocol=2)
    lists = {"names": names, "num_frames_min": [count + 5 for count in frames], "action_classes": UESTC}
    for name, lines in lists.items():
        (folder / "info" / f"{name}.txt").write_text("\n".join(map(str, lines)) + "\n")
    return folder


def body_model(folder: Path) -> None:
    """SMPL-H model files of 60 vertices: each joint is one vertex, the first shape parameter makes the whole body larger."""
    rest = np.cumsum(SMPL22.offsets, axis=0) * 0
    for joint in range(22):
        rest[joint] = SMPL22.offsets[joint] + (rest[SMPL22.parents[joint]] if joint else 0)
    template = np.zeros((60, 3))
    template[:22] = rest
    shapes = np.zeros((60, 3, 16))
    shapes[..., 0] = 0.1 * template
    parents = [*SMPL22.parents, *[20] * 15, *[21] * 15]
    for gender in ("male", "female"):
        (folder / "body_models" / "smplh" / gender).mkdir(parents=True, exist_ok=True)
        tree = np.array([[2**32 - 1, *parents[1:]], range(52)], dtype=np.int64)
        larger = 1.0 if gender == "male" else 0.9
        arrays = {"J_regressor": np.eye(52, 60), "v_template": larger * template, "shapedirs": shapes, "kintree_table": tree}
        np.savez(folder / "body_models" / "smplh" / gender / "model.npz", **arrays)


def amass(folder: Path, name: str, fps: float, seconds: float, seed: int, gender: str = "male") -> None:
    """A recording of AMASS: z up, poses of 52 joints."""
    path = folder / "amass_data" / f"{name}_poses.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    t = np.arange(round(seconds * fps) + 1)[:, None] / fps
    poses = 0.2 * np.sin(2 * np.pi * random.uniform(0.2, 1.5, 156) * t + random.uniform(0, 6, 156))
    poses[:, :3] = [np.pi / 2, 0, 0]  # from the model's y up to z up
    trans = np.concatenate([0.3 * t, 0.4 * t, 0.9 + 0.03 * np.sin(4 * t)], axis=1)
    np.savez(path, poses=poses, trans=trans, betas=np.zeros(16), gender=gender, mocap_framerate=fps, dmpls=np.zeros((len(t), 8)))


def native(folder: Path) -> Path:
    """amass_data/ at 120, 100, 60 and 250 fps, the bodies, index.csv, texts and lists; a clip of HumanAct12 beside."""
    folder.mkdir(parents=True, exist_ok=True)
    body_model(folder)
    homes = (
        ("KIT/3/walk", 120.0),
        ("CMU/01/01_01", 120.0),
        ("SFU/a/b", 100.0),
        ("MPI_HDM05/bd/x", 120.0),
        ("Transitions_mocap/m/y", 250.0),
    )
    rows = []
    for number in range(15):
        home, fps = homes[number % len(homes)]
        amass(folder, f"{home}{number}", fps, 7.5, number, "female" if number % 2 else "male")
        rows.append(f"./pose_data/{home}{number}_poses.npy,{10 + number},{70 + number},{number:06d}.npy")
    clips = folder / "pose_data" / "humanact12" / "humanact12"
    clips.mkdir(parents=True)
    np.save(clips / "P01.npy", np.pad(moving(SMPL22, 3.0, 20.0, 9), ((0, 0), (0, 2), (0, 0))))
    rows.append("./pose_data/humanact12/humanact12/P01.npy,0,-1,000015.npy")
    (folder / "index.csv").write_text("\n".join(["source_path,start_frame,end_frame,new_name", *rows]) + "\n")
    for number in range(16):
        write_texts(folder / "texts", f"{number:06d}", [(caption, 0.0, 0.0) for caption in CAPTIONS])
    write_lists(folder)
    return folder


MINIATURES = {"humanml3d": humanml3d, "kit": kit, "humanact12": humanact12, "uestc": uestc, "humanml3d-native": native}
