"""The stance: a path from what the legs do, at one set of moments whatever the rate, and a network that learns which foot stands."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from moving import a_motion
from small_run import ThreeMotions, a_run
from torch import nn

from nerm import checkpoint
from nerm.cli import parse
from nerm.data.dataset import Item
from nerm.errors import InputError
from nerm.generator import Condition, HasVariants, Stands
from nerm.model import NeRM, load_nerm
from nerm.motion import SMPL22, Motion, frame_times
from nerm.motion.skeleton import KIT21, SMPL24, Skeleton, yaw_matrix
from nerm.stance import FEET, HINT_MPS, RATE, Stance, StanceConfig, around, in_frame, in_world, moments_of, no_stance, observed, stand
from nerm.stance_training import BATCH, SLOW_MPS, STRETCH, StanceTask, add_stance, disturbance, train_stance
from nerm.train import SCALES, SHARES, Train, shares_of, train_nerm
from nerm.training import Budget, Fit

CHOICES = (*FEET, "free")
PLANE = [0, 2]
SMALL = StanceConfig(width=16, dilations=[1, 2])


# --- networks that are known ----------------------------------------------------------------------------------------------------------


def blank(width: int = 4) -> Stance:
    """A network of zeros."""
    stance = Stance(StanceConfig(width=width, dilations=[1])).eval()
    for parameter in stance.parameters():
        nn.init.zeros_(parameter)
    return stance


def choosing(name: str) -> Stance:
    """A network that always makes one choice."""
    stance = blank()
    with torch.no_grad():
        stance.leave.bias[CHOICES.index(name)] = 100.0
    return stance


def on_the_lower_toe() -> Stance:
    """A network that stands on the toe that is lower than the other, and looks at nothing else."""
    stance, feet = blank(), ("l_foot", "r_foot")
    columns = [stance.config.seen + 3 * (SMPL22.index(name) - 1) + 1 for name in feet]  # heights at the moment itself
    with torch.no_grad():
        stance.leave.bias[:] = torch.tensor([-1e4, -1e4, 0, 0, -1e4, 0, 0])
        for own, name in enumerate(feet):
            stance.enter.weight[own, columns[1 - own]], stance.enter.weight[own, columns[own]] = 1e4, -1e4
            stance.leave.weight[CHOICES.index(name), own] = 1.0
    return stance


def drawn(seed: int = 0, config: StanceConfig = SMALL) -> Stance:
    """A network with random weights."""
    torch.manual_seed(seed)
    return Stance(config).eval()


# --- motions that are known -----------------------------------------------------------------------------------------------------------


def path_of(times: np.ndarray, speed: float = 0.9) -> np.ndarray:
    """[T, 3] where the walker's root really is."""
    return np.stack([0.4 * np.sin(0.8 * times), 0.9 + 0.02 * np.sin(12.6 * times), speed * times], axis=1)


def toe_of(times: np.ndarray, begin: float, aside: float, speed: float) -> np.ndarray:
    """[T, 3] a toe that swings from begin for .4 s of every second, and else stands where it is when the root passes by."""
    step = np.floor(times - begin)
    u = np.clip((times - begin - step) / 0.4, 0, 1)
    share = (u**3 * (10 - 15 * u + 6 * u**2))[:, None]
    before, after = (path_of(begin + step + mid, speed) + np.array([aside, 0, 0]) for mid in (-0.3, 0.7))
    toe = before + share * (after - before)
    toe[:, 1] = 0.1 * np.sin(np.pi * u) ** 2
    return toe


def walker(fps: float, seconds: float, speed: float = 0.9, slide: float = 0.0) -> Motion:
    """A person who turns while it walks a curve on toes of which one always stands; a slide moves it at every moment as a whole."""
    times = frame_times(seconds, fps)
    rest = np.zeros((22, 3))
    for joint in range(1, 22):
        rest[joint] = rest[SMPL22.parents[joint]] + SMPL22.offsets[joint]
    joints = rest @ np.swapaxes(yaw_matrix(0.4 * times), -1, -2) + path_of(times, speed)[:, None]
    for side, begin, aside in (("l", 0.0, 0.1), ("r", 0.5, -0.1)):
        toe = toe_of(times, begin, aside, speed)
        joints[:, SMPL22.index(f"{side}_foot")], joints[:, SMPL22.index(f"{side}_ankle")] = toe, toe + np.array([0, 0.08, 0])
    slid = slide * np.stack([np.sin(3 * times), 0 * times, times], axis=1)
    return Motion((joints + slid[:, None]).astype(np.float32), fps)


def walked(motion: Motion) -> np.ndarray:
    """[T, 2] the path from the first frame."""
    return motion.root[:, PLANE] - motion.root[0, PLANE]


class Walkers(ThreeMotions):
    """A dataset of six walkers of different speeds."""

    name, digest = "walkers", "six walkers"

    def __init__(self) -> None:
        self.walkers = [walker(120, 4.0, speed) for speed in (0.3, 0.5, 0.7, 0.9, 1.1, 1.3)]
        self._items = [Item(name, name, 120.0, 4.0, (), "") for name in "abcdef"]

    def motion(self, item: Item) -> Motion:
        return self.walkers["abcdef".index(item.id)]


def renamed(skeleton: Skeleton = SMPL22, **names: str) -> Skeleton:
    return Skeleton("other", tuple(names.get(name, name) for name in skeleton.names), skeleton.parents, skeleton.offsets)


def seen_of(motion: Motion) -> np.ndarray:
    """What the network sees of a motion at 32 fps."""
    assert motion.fps == RATE
    return observed(motion.joints.astype(np.float64), 1 / RATE, motion.skeleton)[0]


def parts_of(seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Joints about the root [K, 21, 3], velocities of the feet [K, 4, 3], turn [K], height [K], hint [K, 2]."""
    pose, feet = seen[:, :63].reshape(-1, 21, 3), seen[:, 63:75].reshape(-1, 4, 3)
    return pose, feet, seen[:, 75], seen[:, 76], seen[:, 77:]


# --- the path -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "slide"), [(0.9, 0.0), (0.9, 0.5), (1.4, -0.8)])
def test_who_stands_on_the_lower_toe_is_where_its_legs_have_walked_whatever_the_hint_says(speed, slide):
    made, true = walker(120, 4.0, speed, slide), walker(120, 4.0, speed)
    stood = stand(on_the_lower_toe(), made, "nerm")
    assert np.abs(walked(stood) - walked(true)).max() < 0.003
    if slide:
        assert np.abs(walked(made) - walked(true)).max() > 1
    assert np.array_equal(stood.joints[0], made.joints[0])


@pytest.mark.parametrize("foot", FEET)
def test_a_foot_that_is_always_stood_on_stays_where_it_began(foot):
    made = a_motion(RATE, 5, 3)
    stood = stand(choosing(foot), made, "nerm")
    place = stood.joints[:, SMPL22.index(foot)][:, PLANE]
    assert np.abs(place - place[0]).max() < 1e-5
    assert np.ptp(made.joints[:, SMPL22.index(foot)][:, PLANE], axis=0).min() > 0.1
    others = [np.ptp(stood.joints[:, SMPL22.index(name)][:, PLANE], axis=0).max() for name in FEET if name != foot]
    assert min(others) > 0.02


@pytest.mark.parametrize("fps", [120.0, 60.0, 20.0])
def test_who_is_always_free_keeps_the_path_that_was_made(fps):
    walking = walker(fps, 4.0, slide=0.3)
    sway = 0.05 * np.sin(4 * np.pi * walking.times)[:, None, None] * np.array([1, 0, -1])
    made = Motion(walking.joints + sway.astype(np.float32), fps)
    stood = stand(choosing("free"), made, "nerm")
    assert 0 < np.abs(stood.root - made.root).max() < 0.001


def test_velocity_that_a_network_adds_is_in_the_persons_frame():
    """Half a metre a second forward is a circle for somebody who turns."""
    stance, times = choosing("l_foot"), frame_times(4.0, 60)
    with torch.no_grad():
        stance.leave.bias[-1] = 0.5
    rest = walker(60, 0.0).joints[0] - walker(60, 0.0).joints[0, 0] + [0, 0.9, 0]
    rest[SMPL22.index("l_foot"), PLANE] = 0  # below the root, so that it does not move when the body turns on the spot
    turning = Motion((rest @ np.swapaxes(yaw_matrix(0.8 * times), -1, -2)).astype(np.float32), 60)
    radius, angle = 0.5 / 0.8, 0.8 * times
    circle = radius * np.stack([1 - np.cos(angle), np.sin(angle)], axis=1)
    assert np.abs(walked(stand(stance, turning, "nerm")) - circle).max() < 0.02


@pytest.mark.parametrize("stance", [choosing("free"), choosing("r_ankle"), on_the_lower_toe(), drawn()])
def test_heights_and_joints_about_the_root_never_change(stance):
    swinging = a_motion(60, 3, 1)
    made = replace(swinging, joints=swinging.joints.astype(np.float32))
    stood = stand(stance, made, "nerm")
    assert np.array_equal(stood.joints[..., 1], made.joints[..., 1])
    about = [motion.joints - motion.joints[:, :1] for motion in (stood, made)]
    assert np.abs(about[0] - about[1]).max() < 1e-5
    assert (stood.fps, stood.skeleton, stood.joints.dtype, len(stood)) == (60, made.skeleton, np.float32, len(made))
    assert np.isfinite(stood.joints).all()


@pytest.mark.parametrize(("yaw", "moved"), [(0.0, (30.0, 0.0, -20.0)), (1.3, (0.0, 0.0, 0.0)), (-2.9, (3.0, 0.0, 4.0))])
def test_a_motion_that_is_turned_and_moved_gives_what_it_gives_turned_and_moved(yaw, moved):
    stance, made = drawn(), a_motion(60, 4, 2)
    stood = stand(stance, made, "nerm")
    assert np.abs(stood.joints - made.joints).max() > 0.05
    elsewhere = stand(stance, made.transformed(yaw, moved), "nerm")
    assert np.abs(elsewhere.joints - stood.transformed(yaw, moved).joints).max() < 2e-4


def test_a_person_that_is_carried_higher_is_told_from_one_on_the_floor_by_its_height_alone():
    made = a_motion(RATE, 2, 2)
    low, high = (parts_of(seen_of(made.transformed(translation=(0.0, y, 0.0)))) for y in (0.0, 0.5))
    assert np.allclose(high[3] - low[3], 0.5, atol=1e-5)
    assert all(np.allclose(a, b, atol=1e-4) for place, (a, b) in enumerate(zip(low, high, strict=True)) if place != 3)


def test_a_path_at_60_fps_is_at_every_third_frame_that_at_20_where_the_moments_are_the_same():
    stance, joints = drawn(), walker(RATE, 4.0).joints
    fast, slow = (stance.stood(walker(fps, 4.0, slide=0.2), joints, 4.0) for fps in (60, 20))
    assert np.abs(fast.joints[::3] - slow.joints).max() < 1e-5
    assert np.abs(fast.joints - walker(60, 4.0, slide=0.2).joints).max() > 0.05


@pytest.mark.parametrize("seconds", [0.01, 0.04, 0.06, 0.1])
@pytest.mark.parametrize("fps", [1.0, 20.0, 480.0])
def test_a_motion_of_a_frame_or_two_has_a_path_too(seconds, fps):
    stance, made = drawn(), walker(fps, seconds)
    joints = walker((len(moments_of(seconds)) - 1) / seconds, seconds).joints
    stood = stance.stood(made, joints, seconds)
    assert len(stood) == len(made) and np.abs(stood.joints - made.joints).max() < 0.1


def test_a_motion_of_a_single_frame_stays_where_it_is():
    made = walker(20, 0.0)
    assert len(made) == 1 and np.array_equal(stand(drawn(), made, "nerm").joints, made.joints)


def test_a_system_without_a_stance_says_so():
    with pytest.raises(InputError, match="system 'nerm-paper' has no stance; it was trained without that stage"):
        stand(None, walker(20, 1.0), "nerm-paper")


# --- what the network sees ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "moments"), [(10.0, 321), (1.0, 33), (1 / 32, 3), (0.01, 3)])
def test_moments_are_32_a_second_from_the_first_to_the_last(seconds, moments):
    found = moments_of(seconds)
    assert len(found) == moments and (found[0], found[-1]) == (0, seconds)
    assert np.allclose(np.diff(found), seconds / (moments - 1))


def test_what_is_seen_has_the_numbers_that_are_told():
    made = a_motion(RATE, 3, 5)
    assert seen_of(made).shape == (3 * RATE, StanceConfig().seen) == (96, 79)
    tall = Motion(np.zeros((4, 24, 3)) + np.arange(24)[:, None] * [1, 0, 0.1], RATE, SMPL24)
    assert seen_of(tall).shape == (3, StanceConfig(joints=24).seen)


def test_what_is_seen_depends_neither_on_the_place_nor_on_the_heading():
    made = a_motion(RATE, 3, 5)
    here, there = seen_of(made), seen_of(made.transformed(2.2, (5.0, 0.0, -7.0)))
    assert np.abs(here - there).max() < 2e-4  # velocities of joints that are kept in 32 bits
    assert np.abs(here - seen_of(a_motion(RATE, 3, 6))).max() > 0.1


def test_a_person_who_walks_and_turns_is_seen_in_its_own_frame():
    """Forward at 1.5 m/s and half a radian a second to its left, with rigid legs."""
    times = frame_times(3.0, RATE)
    yaw = 0.7 + 0.5 * times
    rest = walker(RATE, 0.0).joints[0] - walker(RATE, 0.0).joints[0, 0]
    root = np.stack([-3 * np.cos(yaw), 0.9 + 0 * yaw, 3 * np.sin(yaw)], axis=1)  # its derivative is 1.5 (sin yaw, cos yaw)
    motion = Motion(rest @ np.swapaxes(yaw_matrix(yaw), -1, -2) + root[:, None], RATE)
    pose, feet, turn, height, hint = (part[12:-12] for part in parts_of(seen_of(motion)))  # away from the ends of the smoothing
    assert np.abs(pose - rest[1:]).max() < 1e-3 and np.abs(turn - 0.5).max() < 1e-3 and np.allclose(height, 0.9)
    assert np.abs(hint - [0.0, 1.5]).max() < 1e-3
    about = rest[[SMPL22.index(name) for name in FEET]]
    carried = 0.5 * np.stack([about[:, 2], 0 * about[:, 0], -about[:, 0]], axis=1)  # omega x r, with omega along +y
    assert np.abs(feet - carried).max() < 1e-3


def test_the_velocity_of_a_foot_that_stands_is_minus_that_of_the_root():
    pose, feet, _, _, hint = parts_of(seen_of(walker(RATE, 4.0)))
    time = np.arange(len(pose)) / RATE % 1
    for name, begin, end in (("l_foot", 0.4, 0.96), ("l_ankle", 0.4, 0.96), ("r_foot", 0.0, 0.46), ("r_ankle", 0.0, 0.46)):
        stands = (time >= begin) & (time <= end)
        velocity = feet[:, FEET.index(name)][:, PLANE]
        assert stands.sum() > 50 and np.abs(velocity[stands] + hint[stands]).max() < 1e-4
        assert np.linalg.norm(velocity + hint, axis=1).max() > 1
    assert np.linalg.norm(hint, axis=1).max() > 0.8


def test_the_persons_frame_is_turned_by_its_heading():
    angle = np.array([0.0, np.pi / 2, np.pi, 0.3])
    forward = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], axis=1)[:, None]
    assert np.allclose(in_frame(forward, angle), [0, 0, 1])
    vectors = np.random.default_rng(0).normal(size=(4, 1, 3))
    turned = in_frame(vectors, angle)
    assert np.allclose(in_world(turned[:, 0, PLANE], angle), vectors[:, 0, PLANE]) and np.array_equal(turned[..., 1], vectors[..., 1])


def test_a_moment_is_seen_with_its_neighbours_and_zeros_beyond_the_ends():
    x = torch.arange(1.0, 6)[None, :, None]
    assert around(x, 2)[0].tolist() == [[0, 1, 3], [0, 2, 4], [1, 3, 5], [2, 4, 0], [3, 5, 0]]


def test_a_velocity_depends_on_the_moments_within_reach_alone():
    config = StanceConfig(width=8, dilations=[1, 2, 4])
    stance, seen = drawn(config=config), torch.randn(1, 60, config.seen)
    changed = seen.clone()
    changed[:, 30] += 1
    differs = ((stance(changed) - stance(seen)).abs().sum(-1) > 1e-7)[0].nonzero().flatten()
    assert differs.min() == 30 - 8 and differs.max() == 30 + 8  # one moment at the entrance, and 1 + 2 + 4


def test_a_velocity_is_a_mean_of_what_the_feet_say_and_the_hint():
    stance, seen = blank(), torch.randn(2, 9, StanceConfig().seen, generator=torch.Generator().manual_seed(0))
    feet, hint = seen[..., 63:75].unflatten(-1, (4, 3))[..., PLANE], seen[..., -2:]
    assert torch.allclose(stance(seen), (hint - feet.sum(-2)) / 5, atol=1e-6)
    assert torch.allclose(choosing("free")(seen), hint) and torch.allclose(choosing("r_ankle")(seen), -feet[:, :, 1])


def test_muon_trains_the_matrices_between_channels():
    config = StanceConfig()
    matrices = Stance(config).matrices()
    assert {tuple(m.shape) for m in matrices} == {(64, 3 * 64), (64, 64)} and len(matrices) == 2 * len(config.dilations)


# --- skeletons ------------------------------------------------------------------------------------------------------------------------


def test_a_skeleton_needs_feet_hips_and_shoulders():
    assert no_stance(SMPL22) == no_stance(SMPL24) == ""
    assert no_stance(renamed(l_foot="l_toe", r_shoulder="arm")) == "skeleton 'other' has no l_foot, r_shoulder"
    assert no_stance(renamed(head="skull", l_wrist="l_hand")) == ""


class Renamed(ThreeMotions):
    """A dataset of a skeleton whose toes have another name."""

    skeleton = renamed(l_foot="l_toe", r_foot="r_toe")

    def motion(self, item: Item) -> Motion:
        return replace(super().motion(item), skeleton=self.skeleton)


def test_a_stance_for_feet_that_nobody_knows_is_refused(tmp_path):
    answer = "stage=stance: skeleton 'other' has no l_foot, r_foot; add_stance=false leaves that stage out"
    with pytest.raises(InputError, match=answer):
        train_stance(Renamed(), SMALL, Budget(steps=1, device="cpu"), tmp_path)
    a_run(tmp_path)
    with pytest.raises(InputError, match=answer):
        train_nerm(Renamed(), Train(stage="stance"), Budget(steps=1, device="cpu"), tmp_path)
    assert load_nerm(tmp_path / "nerm.safetensors").stance is None


@pytest.mark.parametrize("dataset", [ThreeMotions(), Renamed()])
@pytest.mark.parametrize("words", [[], ["add_stance=false"], SCALES["paper-small"]])
def test_all_stages_are_trained_but_for_a_stance_that_is_not_wanted_or_cannot_be(dataset, words, tmp_path, monkeypatch, capsys):
    trained = []
    for target in ("nerm.stage1.train_field", "nerm.stage2.train_denoiser", "nerm.stance_training.add_stance"):
        stage = target.rpartition("_")[2]
        monkeypatch.setattr(target, lambda *_, stage=stage: trained.append(stage) or Fit(1, 0.0, [{}]))
    train_nerm(dataset, parse(Train, words), Budget(steps=3, device="cpu"), tmp_path)
    can, wanted = isinstance(dataset, Renamed) is False, not words
    assert trained == ["field", "denoiser", *(["stance"] if can and wanted else [])]
    assert ("stance: left out (skeleton 'other' has no l_foot, r_foot)" in capsys.readouterr().err) is (wanted and not can)


def test_the_budget_is_shared_by_the_stages_and_the_papers_scales_have_no_stance():
    assert list(SHARES) == ["field", "denoiser", "stance"] and sum(SHARES.values()) == 1 and shares_of(Train()) == SHARES
    for scale in ("paper", "paper-small"):
        alone = shares_of(parse(Train, SCALES[scale]))
        assert list(alone) == ["field", "denoiser"] and sum(alone.values()) == pytest.approx(1)
    assert shares_of(Train(stage="stance")) == {"stance": 1.0}


# --- training -------------------------------------------------------------------------------------------------------------------------


def a_task(motions: Sequence[Motion] = (), stance: Stance | None = None) -> StanceTask:
    """A task whose network may be one that is known; it is given numbers as they are."""
    motions = motions or [walker(120, 3.0), walker(60, 1.0, 0.5)]
    task = StanceTask(SMALL if stance is None else stance.config, motions, motions)
    if stance is not None:
        task.module.stance = stance
    return task


@torch.no_grad()
def error_of(motions: Sequence[Motion], stance: Stance | None = None) -> float:
    """The validation error on motions; of an untrained network if none is given."""
    torch.manual_seed(0)
    return a_task(motions, stance).validate()["loss"]


def test_a_hint_is_disturbed_by_as_much_as_is_told_and_slowly():
    added = disturbance(4000, STRETCH, torch.Generator().manual_seed(0))
    assert added.shape == (4000, STRETCH, 2)
    assert added.square().sum(-1).mean().sqrt() == pytest.approx(HINT_MPS, rel=0.05) and added.mean().abs() < 0.01
    assert torch.diff(added, dim=1).square().mean() < 0.1 * added.square().mean()  # 2 of white noise
    strength = added.square().mean((1, 2)).sqrt()
    assert strength.quantile(0.9) > 2 * strength.quantile(0.1)
    assert torch.equal(added, disturbance(4000, STRETCH, torch.Generator().manual_seed(0)))


def test_it_learns_from_stretches_of_recordings_and_of_their_mirror_images():
    motions = [walker(120, 3.0), walker(60, 1.0, 0.5)]
    task = a_task(motions)
    assert task.lengths.tolist() == [96, 96, 32, 32]
    for place, motion in enumerate((motions[0], motions[0].mirrored(), motions[1], motions[1].mirrored())):
        joints = walker(RATE, motion.seconds, (0.9, 0.5)[place // 2])
        expected = seen_of(joints.mirrored() if place % 2 else joints)
        assert np.abs(task.trained[place].numpy() - expected).max() < 0.05
    seen, added = task.batch(torch.Generator().manual_seed(0), 0.5)
    assert seen.shape == (BATCH, STRETCH, StanceConfig().seen) and added.shape == (BATCH, STRETCH, 2)
    begun = set()
    for stretch in seen:
        (owner,) = (k for k, numbers in enumerate(task.trained) if (numbers == stretch[0]).all(-1).any())
        start = int((task.trained[owner] == stretch[0]).all(-1).nonzero()[0])
        rows = torch.clamp(torch.arange(start, start + STRETCH), max=len(task.trained[owner]) - 1)  # the last moment of a short one goes on
        assert torch.equal(stretch, task.trained[owner][rows])
        begun.add((owner, start))
    assert {owner for owner, _ in begun} == {0, 1, 2, 3} and len(begun) > 20
    assert all(start == 0 for owner, start in begun if owner > 1) and max(start for owner, start in begun) > 20


def test_the_network_is_given_numbers_of_mean_0_and_deviation_1_and_the_hint_as_it_is_when_disturbed():
    task = a_task()
    stance, every = task.module.stance, torch.cat(task.trained)
    given = ((every - stance.offset) / stance.scale)[:, :-2]
    moving = every[:, :-2].std(0) > 1e-3
    assert moving.sum() > 40 and given.mean(0).abs().max() < 0.02 and torch.allclose(given.std(0)[moving], torch.ones(1), atol=1e-4)
    assert torch.allclose(stance.scale[-2:], (every[:, -2:].var(0) + HINT_MPS**2).sqrt())


def test_the_error_is_that_of_the_velocity_whatever_the_hint_for_who_knows_where_it_stands():
    motions = [walker(120, 3.0), walker(120, 3.0, 1.3)]
    added = torch.cat([disturbance(1, len(numbers), generator).norm(dim=-1).flatten() for numbers, generator in held(motions)])
    assert error_of(motions, choosing("free")) == pytest.approx(float(added.mean()), rel=1e-5)
    assert float(added.mean()) > 0.1 and error_of(motions, on_the_lower_toe()) < 0.005
    assert (
        error_of(motions, choosing("l_foot")) > 0.5
    )  # it is stood on for .6 s of every second, and left behind by about the length of a step else


def held(motions: Sequence[Motion]) -> list[tuple[torch.Tensor, torch.Generator]]:
    """What is validated on, with the generator of the disturbances, one for all."""
    generator = torch.Generator().manual_seed(7)
    return [(numbers, generator) for numbers in a_task(motions).held]


@pytest.mark.parametrize(("size", "loss"), [(0.02, 0.02**2 / (2 * SLOW_MPS)), (0.4, 0.4 - SLOW_MPS / 2)])
def test_small_errors_count_by_their_square_and_large_ones_by_their_size(size, loss):
    module = a_task(stance=choosing("free")).module
    seen, added = torch.randn(3, 5, StanceConfig().seen), torch.zeros(3, 5, 2)
    added[..., 1] = size
    found, parts = module(seen, added, progress=0.5)
    assert float(found.detach()) == pytest.approx(loss, rel=1e-3) and float(parts["error_mps"]) == pytest.approx(size, rel=1e-3)


def test_the_network_does_not_see_the_path_that_it_is_to_find():
    """Only the disturbed hint: the error of a constant network does not change with what is added to the hint."""
    module, seen = a_task(stance=choosing("l_ankle")).module, torch.randn(1, 8, StanceConfig().seen)
    errors = [module.error(seen, disturbance(1, 8, torch.Generator().manual_seed(seed))) for seed in (0, 1)]
    assert torch.equal(*errors)
    free = [a_task(stance=choosing("free")).module.error(seen, torch.full((1, 8, 2), size)) for size in (0.0, 1.0)]
    assert free[0].max() < 1e-5 and torch.allclose(free[1], torch.tensor(2.0).sqrt(), atol=1e-5)


def test_a_short_training_finds_the_standing_feet_of_walkers_better_than_the_hint_does(tmp_path):
    dataset = Walkers()
    before, hint = error_of(dataset.walkers), error_of(dataset.walkers, choosing("free"))
    budget = Budget(steps=100, device="cpu", precision="no", average=0.9, validate_times=1)
    outcome, stance = train_stance(dataset, SMALL, budget, tmp_path)
    after = error_of(dataset.walkers, stance)
    assert after == pytest.approx(outcome.history[-1]["val_loss"], rel=1e-3)
    assert after < 0.2 * before and after < 0.4 * hint
    made, true = walker(60, 4.0, 0.8, slide=0.3), walker(60, 4.0, 0.8)
    error, slid = (np.linalg.norm(walked(each) - walked(true), axis=1)[-1] for each in (stand(stance, made, "nerm"), made))
    assert slid > 1.1 and error < 0.2 * slid
    assert not stance.training and stance.offset.device.type == "cpu"


@pytest.mark.parametrize(("rate", "fps"), [("native", {120.0, 60.0}), ("fixed", {20.0})])
def test_it_learns_from_recordings_at_the_rates_that_the_field_was_trained_at(rate, fps, tmp_path, monkeypatch):
    given = []

    class Stop(Exception): ...

    def taken(config: StanceConfig, trained: Sequence[Motion], held: Sequence[Motion]) -> None:
        given.extend(trained)
        raise Stop

    monkeypatch.setattr("nerm.stance_training.StanceTask", taken)
    with pytest.raises(Stop):
        train_stance(ThreeMotions(), SMALL, Budget(steps=1, device="cpu"), tmp_path, rate)
    assert {motion.fps for motion in given} == fps and len(given) == 3


# --- in a system ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished run with a stance."""
    folder = tmp_path_factory.mktemp("run")
    a_run(folder)
    train_nerm(ThreeMotions(), Train(stage="stance", stance=SMALL), Budget(steps=40, device="cpu", precision="no", average=0.9), folder)
    return folder


@pytest.fixture(scope="module")
def system(folder) -> NeRM:
    return load_nerm(folder / "nerm.safetensors")


ASKED = [Condition(), Condition()], [2.0, 3.0]


def a_code(mirrored: bool = False) -> dict[str, np.ndarray]:
    return {"z": np.random.default_rng(0).normal(size=16).astype(np.float32), "mirrored": np.array(mirrored)}


def test_a_trained_stance_is_part_of_the_system_and_lowers_the_error(folder, system, tmp_path):
    assert isinstance(system, Stands) and isinstance(system, HasVariants) and system.stands and system.stance.config == SMALL
    assert system.facts.steps == {"field": 5, "stance": 40} and system.facts.samples["stance"] == 40 * BATCH
    parts = (system.field, system.denoiser, system.stance)
    assert system.facts.parameters == sum(p.numel() for part in parts for p in part.parameters())
    motions = [ThreeMotions().motion(item) for item in ThreeMotions().items("train")]
    assert error_of(motions, system.stance) < 0.6 * error_of(motions)


def test_it_is_kept_in_the_systems_file_and_samples_the_same(system, tmp_path):
    system.save(tmp_path / "again.safetensors")
    again = load_nerm(tmp_path / "again.safetensors")
    for one, two in zip(system.sample(*ASKED, 30, [1, 2]), again.sample(*ASKED, 30, [1, 2]), strict=True):
        assert np.array_equal(one.joints, two.joints)
    assert all(torch.equal(value, again.stance.state_dict()[name]) for name, value in system.stance.state_dict().items())


def test_a_sample_of_a_system_that_stands_is_the_same_at_every_rate(system):
    fast, slow = (system.sample(*ASKED, fps, [5, 6]) for fps in (60, 20))
    for one, two in zip(fast, slow, strict=True):
        assert np.abs(one.joints[::3] - two.joints).max() < 1e-5


@pytest.mark.parametrize("seconds", [0.01, 0.03, 10.0])
def test_the_shortest_and_the_longest_sample_are_whole(system, seconds):
    for fps in (1, 20, 480):
        motion = system.sample([Condition()], [seconds], fps, [0])[0]
        assert len(motion) == int(seconds * fps + 1e-6) + 1 and np.isfinite(motion.joints).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_code_is_read_on_the_path_of_its_legs_and_its_mirror_image_on_that_of_the_mirrored_legs(system, mirrored):
    code = a_code(mirrored)
    expected = system.stance.stood(system.decode(code, 2.0, 60), system.decode(code, 2.0, RATE).joints, 2.0)
    read = system.read(code, 2.0, 60)
    assert np.array_equal(read.joints, expected.joints)
    assert np.abs(read.joints - system.decode(code, 2.0, 60).joints).max() > 0.01
    assert np.array_equal(system.read(code, 2.0, RATE).joints, system.stood(system.decode(code, 2.0, RATE)).joints)


def test_without_its_stance_a_system_reads_the_field_alone(system):
    plain = system.variant(stance=False)
    assert isinstance(plain, NeRM) and not plain.stands and system.stands and plain.field is system.field
    assert plain.digest == f"{system.digest} stance=false" and plain.variant(stance=False) is plain and system.variant() is system
    code = a_code()
    assert np.array_equal(plain.read(code, 2.0, 60).joints, system.decode(code, 2.0, 60).joints)
    with pytest.raises(InputError, match="has no stance"):
        plain.stood(walker(60, 2.0))
    other = system.variant(sampler="ddim" if system.stage2.sampler != "ddim" else "ddpm")
    assert other.stands and other.stance is system.stance


def test_any_motion_is_given_the_stance_of_a_system(system):
    made = walker(20, 3.0, slide=0.4)
    assert np.array_equal(system.stood(made).joints, stand(system.stance, made, "x").joints)
    with pytest.raises(InputError, match="joints"):
        system.stood(Motion(np.random.default_rng(0).normal(size=(9, 21, 3)), 20.0, KIT21))


def test_a_stance_that_is_trained_again_takes_the_place_of_the_old_one(tmp_path):
    a_run(tmp_path)
    for steps in (2, 3):
        add_stance(ThreeMotions(), SMALL, Budget(steps=steps, device="cpu"), tmp_path)
        system = load_nerm(tmp_path / "nerm.safetensors")
        assert system.facts.steps == {"field": 5, "stance": steps}


@pytest.mark.parametrize("damage", ["setting", "tensor", "size"])
def test_a_file_whose_stance_this_version_does_not_know_is_of_another_version(folder, tmp_path, damage):
    stored = checkpoint.read(folder / "nerm.safetensors")
    tensors, about = dict(stored.tensors), dict(stored.about)
    if damage == "setting":
        about["stance"] = {**about["stance"], "feet": 4}
    elif damage == "tensor":
        del tensors["stance.leave.bias"]
    else:
        about["stance"] = {**about["stance"], "width": 8}
    checkpoint.write(tmp_path / "old.safetensors", "nerm", tensors, about)
    with pytest.raises(InputError, match="another version of this package"):
        load_nerm(tmp_path / "old.safetensors")


def test_a_file_that_has_a_texture_is_of_another_version(folder, tmp_path):
    stored = checkpoint.read(folder / "nerm.safetensors")
    about = {**stored.about, "texture": {"edges_hz": [4.0, 8.0], "rank": 8}}
    checkpoint.write(tmp_path / "old.safetensors", "nerm", stored.tensors, about)
    with pytest.raises(InputError, match=r"old\.safetensors is a NeRM model of another version of this package; train it again"):
        load_nerm(tmp_path / "old.safetensors")
