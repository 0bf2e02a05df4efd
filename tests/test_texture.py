"""The texture: a process in time with the bands, the strength and the mixture of what recordings have above the field."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from moving import a_motion
from scipy.signal import periodogram
from small_run import SHAPE, ThreeMotions, a_run

from nerm.cli import parse
from nerm.errors import InputError
from nerm.field import Field
from nerm.model import load_nerm
from nerm.motion import SMPL22, Motion
from nerm.motion.kinematics import band_energy, lowpass
from nerm.motion.skeleton import bone_directions, heading, joints_from_directions, yaw_matrix
from nerm.reading import decode
from nerm.refinement import RefinementConfig, refine
from nerm.settings import Stage1Config
from nerm.texture import LIMB, Texture, TextureConfig
from nerm.texture_training import TextureTask, bands_of, held_by, mixture, observe, train_texture
from nerm.train import SCALES, Train, shares_of
from nerm.training import Budget, fit
from nerm.windows import load_windows

SMALL = TextureConfig(edges_hz=[4.0, 8.0, 16.0], rank=8, width=16, batch=256, noise=0.1)


def a_texture(config: TextureConfig = SMALL, size: float = 0.001) -> Texture:
    torch.manual_seed(0)
    texture = Texture(config, SHAPE.width, 10.0).eval()
    texture.mix.normal_(std=size)
    return texture


@pytest.fixture(scope="module")
def field_() -> Field:
    torch.manual_seed(0)
    return Field(replace(SHAPE, octaves=5)).eval()


Z = torch.randn(16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0, 10.0])
def test_frames_shared_by_two_rates_are_the_same_and_bones_keep_their_lengths(field_, seconds):
    texture = a_texture()
    fast, slow = (texture.read(field_, Z, seconds, fps, 3) for fps in (120.0, 20.0))
    assert np.abs(fast.joints[::6] - slow.joints).max() < 1e-5
    bones = np.linalg.norm(fast.joints[:, 1:] - fast.joints[:, list(SMPL22.parents[1:])], axis=-1)
    assert np.abs(bones - SMPL22.lengths[1:]).max() < 1e-5


def test_another_seed_is_another_texture_of_the_same_motion(field_):
    texture = a_texture()
    one, again, other = (texture.read(field_, Z, 4.0, 120.0, seed).joints for seed in (-1, -1, 2))
    assert np.array_equal(one, again) and np.abs(one - other).max() > 1e-4
    below = [lowpass(x, 120.0, 3.0) for x in (one, other)]
    assert (below[0] - below[1]).std() < 0.15 * (one - other).std()


def test_without_strength_what_is_left_is_the_field_below_the_first_edge(field_):
    texture = a_texture(size=0.0)
    smooth, raw = texture.read(field_, Z, 4.0, 120.0, 0), decode(field_, Z, 4.0, 120.0)
    assert band_energy(smooth.joints, 120.0, 8.0, 20.0) < 0.05 * band_energy(raw.joints, 120.0, 8.0, 20.0)
    slow = [lowpass(x.joints, 120.0, 2.5)[60:-60] for x in (smooth, raw)]
    assert np.abs(slow[0] - slow[1]).max() < 0.02 * np.ptp(slow[1], axis=0).max()


def test_waves_have_variance_1_and_stay_in_their_band():
    texture = a_texture()
    times = np.arange(1200) / 120
    waves = np.concatenate([texture.waves(times, seed) for seed in range(30)], axis=2)  # [bands, T, 30 x rank]
    assert waves.var() == pytest.approx(1.0, abs=0.05)
    for band, (low, high) in enumerate(SMALL.bands):
        hz, power = periodogram(waves[band], 120.0, axis=0)
        inside = (hz > low - 0.2) & (hz < high + 0.1)
        assert power[inside].sum() > 0.99 * power.sum()


class Known:
    """A field whose reading is known: a slow motion, and a hidden layer that says how strong the recording's noise is there."""

    def __init__(self, joints: np.ndarray, loud: np.ndarray, fps: float) -> None:
        self.fps, self.loud = fps, torch.from_numpy(loud.astype(np.float32))

    def hidden(self, times: torch.Tensor, seconds: torch.Tensor, z: torch.Tensor, fps: float) -> torch.Tensor:
        frame = (times * self.fps).round().long()
        return torch.stack([self.loud[frame], torch.ones(frame.shape)], dim=-1)


def test_strength_and_mixture_of_known_noise_are_found(tmp_path):
    """6 to 7 Hz along one axis of the wrists alone, ten times as strong in the second half of every recording."""
    slow, rng = a_motion(120, 10, 0), np.random.default_rng(0)
    frames = len(slow)
    loud = (np.arange(frames) > frames / 2).astype(float)
    directions = bone_directions(slow.joints, SMPL22)
    turn = yaw_matrix(heading(slow.joints))
    motions = []
    for _ in range(6):
        t, wave = np.arange(frames) / 120, 0.0
        for hz in np.arange(6, 7, 0.1):
            wave = wave + rng.normal() * np.cos(2 * np.pi * hz * t) + rng.normal() * np.sin(2 * np.pi * hz * t)
        noise = np.zeros_like(directions)
        noise[:, [19, 20]] = (turn[:, :, 2] * (0.003 * (1 + 9 * loud) * wave / 10**0.5)[:, None])[:, None]  # the forearms, forward
        bent = (directions + noise) / np.linalg.norm(directions + noise, axis=-1, keepdims=True)
        motions.append(Motion(joints_from_directions(slow.joints[:, 0], bent, SMPL22), 120))
    windows = load_windows(motions)
    observed = observe(Known(slow.joints, loud, 120), torch.zeros(6, 1), windows, SMALL)
    texture = Texture(SMALL, 2, 10.0)
    fit(TextureTask(texture, observed), Budget(steps=300, device="cpu", average=0.9), tmp_path)
    texture.eval().mix.copy_(mixture(texture, observed))
    with torch.no_grad():
        quiet, strong = texture(torch.tensor([[0.0, 1.0], [1.0, 1.0]])).exp()[:, 0, LIMB[20]].sqrt()
    assert 5 < strong / quiet < 12  # filters blur the change over half a second
    deviation = (texture.mix[0].T @ texture.mix[0]).diagonal().sqrt().reshape(22, 3) * strong  # deviation of each value in the first band
    assert deviation[20].norm() == pytest.approx(0.03, rel=0.25) and deviation[21].norm() == pytest.approx(0.03, rel=0.25)
    assert deviation[20].abs().argmax() == 2 and deviation[[4, 7, 15]].abs().max() < 0.005


def test_a_band_is_learned_from_recordings_that_hold_it():
    observed = observe(Field(SHAPE), torch.zeros(3, 16), load_windows([a_motion(fps, 2, 0) for fps in (120, 30, 20)]), SMALL)
    assert observed.held[0].tolist() == [True, True] and observed.held[-1].tolist() == [True, False]
    assert len(observed.held.unique(dim=0)) == 2


def test_slow_recordings_hold_fewer_bands():
    assert held_by(TextureConfig(), 120.0).edges_hz == TextureConfig().edges_hz
    assert held_by(TextureConfig(), 20.0).edges_hz == [4.0, 5.5, 7.5]
    with pytest.raises(InputError, match=r"12.5 fps hold no band .* add_texture=false"):
        held_by(TextureConfig(), 12.5)


def test_the_bands_are_those_of_the_fastest_training_item_or_of_the_fixed_rate():
    dataset = ThreeMotions()
    assert bands_of(dataset, Stage1Config(), TextureConfig()).edges_hz == TextureConfig().edges_hz
    assert bands_of(dataset, Stage1Config(training_rate="fixed"), TextureConfig()).edges_hz == [4.0, 5.5, 7.5]


@pytest.mark.parametrize(
    ("wrong", "answer"),
    [({"edges_hz": [4.0]}, "two or more"), ({"edges_hz": [4.0, 4.0]}, "rising"), ({"rank": 0}, "rank=0; expected 1 to 66")],
)
def test_settings_that_are_no_bands_are_refused(wrong, answer):
    with pytest.raises(InputError, match=answer):
        replace(SMALL, **wrong)


def test_a_system_gets_its_texture_keeps_it_in_its_file_and_loses_it_with_its_field(tmp_path):
    a_run(tmp_path)
    train_texture(ThreeMotions(), SMALL, Budget(steps=5, device="cpu"), tmp_path)
    system = load_nerm(tmp_path / "nerm.safetensors")
    assert system.facts.steps == {"field": 5, "texture": 5} and system.texture.config == SMALL
    code = {"z": Z.numpy(), "mirrored": np.array(False), "seed": np.array(0)}
    assert np.abs(system.read(code, 2.0, 60.0).joints - decode(system.field, Z, 2.0, 60.0).joints).max() > 0
    system.save(tmp_path / "again.safetensors")
    again = load_nerm(tmp_path / "again.safetensors")
    assert np.array_equal(again.read(code, 2.0, 60.0).joints, system.read(code, 2.0, 60.0).joints)
    refine(ThreeMotions(), RefinementConfig(clips=4, draws=1), Budget(steps=1, device="cpu"), tmp_path)
    assert load_nerm(tmp_path / "nerm.safetensors").texture is None
    train_texture(ThreeMotions(), SMALL, Budget(steps=5, device="cpu"), tmp_path)  # and not what was learned about the unrefined field
    refined = load_nerm(tmp_path / "nerm.safetensors").texture
    assert not torch.equal(refined.mean, system.texture.mean)


def test_the_papers_scale_has_no_texture():
    assert "texture" in shares_of(Train()) and "texture" not in shares_of(parse(Train, SCALES["paper"]))


def one_wave(size: float) -> Texture:
    """A texture that moves only the root, along x of the person, with one wave of deviation `size` metres in the first band."""
    texture = a_texture(size=0.0)
    texture.mix[0, 0, 0] = size
    return texture


def still(seconds: float = 10.0, fps: float = 120.0) -> Motion:
    """A person who stands and faces +z."""
    return Motion(np.repeat(SMPL22_STANDING[None], round(seconds * fps) + 1, axis=0), fps)


SMPL22_STANDING = joints_from_directions(np.array([0.0, 0.9, 0.0]), SMPL22.axes[1:], SMPL22).astype(np.float64)
STRENGTHS = np.array([[2.0], [5.0]]).repeat(6, axis=1)


def test_texture_that_is_added_has_the_variance_that_its_strength_says_and_stays_in_its_band():
    texture, base = one_wave(0.01), still(fps=40.0)
    moved = np.stack([(texture.add(base, STRENGTHS, seed).joints - base.joints) for seed in range(60)])
    assert np.ptp(moved, axis=2).max() < 1e-6 and np.abs(moved[..., 1:]).max() < 1e-6  # the whole body, and nowhere but along x
    along = moved[:, :400, 0, 0]  # ten seconds: whole periods of every wave
    assert along.var() == pytest.approx((2.0 * 0.01) ** 2, rel=0.1)
    power = np.abs(np.fft.rfft(along, axis=1)) ** 2
    hz = np.fft.rfftfreq(400, 1 / 40)
    assert power[:, (hz >= 4.0) & (hz < 8.0)].sum() > (1 - 1e-6) * power.sum()


def test_texture_is_added_to_a_motion_of_any_kind_and_depends_on_seed_and_time_alone():
    texture, base = a_texture(size=0.01), a_motion(120, 4, 1)
    one, again, other = (texture.add(base, STRENGTHS, seed) for seed in (3, 3, 4))
    assert np.array_equal(one.joints, again.joints) and np.abs(one.joints - other.joints).max() > 1e-3
    np.testing.assert_allclose(texture.add(base, 0 * STRENGTHS, 3).joints, base.joints, atol=1e-6)
    slow = texture.add(Motion(base.joints[::6], 20.0), STRENGTHS, 3)
    np.testing.assert_allclose(one.joints[::6], slow.joints, atol=1e-6)
    longer = Motion(base.joints * 1.1, 120.0)
    bones = [
        np.linalg.norm(x[:, 1:] - x[:, list(SMPL22.parents[1:])], axis=-1)
        for x in (texture.add(longer, STRENGTHS, 3).joints, longer.joints)
    ]
    np.testing.assert_allclose(*bones, atol=1e-5)


def test_strengths_are_the_root_mean_square_of_those_that_a_code_is_read_with(field_):
    texture = a_texture()
    with torch.no_grad():
        texture.strength[-1].weight.zero_()
        texture.strength[-1].bias.copy_(torch.linspace(-2, 2, 12))
    expected = np.exp(np.linspace(-2, 2, 12) / 2).reshape(2, 6)
    np.testing.assert_allclose(texture.strengths(field_, [Z, Z], [1.0, 2.0]), expected, rtol=1e-4)


def test_a_motion_of_another_skeleton_has_no_texture():
    with pytest.raises(InputError, match="22 joints"):
        skeleton = replace(SMPL22, names=tuple(f"other {name}" for name in SMPL22.names))
        a_texture().add(Motion(still().joints, 120.0, skeleton), STRENGTHS, 0)
