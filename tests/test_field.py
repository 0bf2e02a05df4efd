import numpy as np
import pytest
import torch
from scipy.interpolate import BSpline

from nerm.errors import InputError
from nerm.field import Codes, Field, FieldConfig, Pose
from nerm.motion import SMPL22
from nerm.motion.skeleton import bone_directions, joints_from_directions
from nerm.reading import decode
from nerm.time_encoding import CodeCurve, FourierEncoding, coordinate

SMALL = {"width": 32, "layers": 3, "latent": 16, "intervals": 5}


def a_field(**settings) -> Field:
    torch.manual_seed(0)
    return Field(FieldConfig(**(SMALL | settings))).eval()


@pytest.mark.parametrize("encoding", ["none", "simple", "codebook"])
@pytest.mark.parametrize("conditioning", ["film", "concatenation"])
@pytest.mark.parametrize("normalised", [True, False])
@pytest.mark.parametrize("intervals", [0, 5])
def test_decoding_at_60_and_keeping_every_third_frame_is_decoding_at_20(encoding, conditioning, normalised, intervals):
    field = a_field(time_encoding=encoding, conditioning=conditioning, time_normalisation=normalised, intervals=intervals)
    z = torch.randn(16)
    assert abs(decode(field, z, 4.0, 60).joints[::3] - decode(field, z, 4.0, 20).joints).max() < 1e-5


def test_the_rate_as_an_input_gives_that_property_up():
    field = a_field(rate_input=True)
    z = torch.randn(16)
    assert abs(decode(field, z, 4.0, 60).joints[::3] - decode(field, z, 4.0, 20).joints).max() > 1e-4


def test_bones_have_the_lengths_of_the_skeleton():
    motion = decode(a_field(), torch.randn(16), 2.0, 30)
    bones = motion.joints[:, 1:] - motion.joints[:, SMPL22.parents[1:]]
    torch.testing.assert_close(torch.as_tensor(bones).norm(dim=-1), torch.tensor(SMPL22.lengths[1:], dtype=torch.float32).expand(61, -1))


def test_joints_agree_with_the_skeletons_own_geometry():
    field = a_field()
    directions = torch.nn.functional.normalize(torch.randn(5, 21, 3), dim=-1)
    expected = joints_from_directions(torch.zeros(5, 3).numpy(), directions.numpy(), SMPL22)
    found = field.joints(Pose(torch.zeros(5, 3), directions)).numpy()
    assert abs(found - expected).max() < 1e-6
    assert abs(bone_directions(found, SMPL22) - directions.numpy()).max() < 1e-5


def test_time_is_centred_and_keeps_seconds_comparable():
    t = coordinate(torch.tensor([[0.0, 2.0, 4.0]]), torch.tensor([4.0]), 10.0, normalised=True)
    assert t.tolist() == [[pytest.approx(-0.4), 0.0, pytest.approx(0.4)]]


def test_an_octave_of_the_encoding_is_two_to_the_k_over_the_longest_duration_in_hertz():
    encoding = FourierEncoding(9)
    seconds = torch.linspace(0, 10, 10_001, dtype=torch.float64)
    waves = encoding(2 * (seconds - 5) / 10)
    for k in (0, 4, 8):
        crossings = int((torch.diff(torch.sign(waves[:, 1 + k])) != 0).sum())
        assert crossings / 2 / 10 == pytest.approx(2**k / 10, abs=0.11)


def test_closed_octaves_are_silent():
    closed = FourierEncoding(8)(torch.rand(50), fade=0.5)
    assert closed[:, 1 + 4 : 1 + 8].abs().max() == 0
    assert closed[:, 1 : 1 + 4].abs().max() > 0.5


def test_a_curve_is_a_cubic_spline_of_its_control_points():
    points, times = np.random.default_rng(0).normal(size=(9, 2)), np.linspace(0, 10, 101)
    expected = BSpline(10 / 6 * np.arange(-3, 10), points, 3)(times)
    curve = CodeCurve(6, 18, normalised=False, longest_s=10.0)
    found = curve(torch.from_numpy(times)[None], torch.from_numpy(points).reshape(1, 18))
    assert abs(found[0].numpy() - expected).max() < 1e-12


def test_what_a_curve_says_of_one_moment_costs_nothing_elsewhere():
    field = a_field()
    z, changed = torch.zeros(16), torch.zeros(16)
    changed[:2] = 1.0  # the first control point: its support is the first of five intervals of 2 s
    still, moved = decode(field, z, 10.0, 20).joints, decode(field, changed, 10.0, 20).joints
    assert abs(still - moved)[41:].max() == 0 and abs(still - moved)[:20].max() > 1e-4


def test_a_code_that_cannot_be_a_curve_is_refused():
    with pytest.raises(InputError, match="latent=16; a code that is a curve of 4 intervals needs a multiple of 7"):
        a_field(intervals=4)
    with pytest.raises(InputError, match="intervals=-3; expected a positive number, or 0"):
        a_field(intervals=-3)


def test_codes_cost_the_batch_and_not_the_corpus():
    codes = Codes(1000, 16)
    z, kl = codes(torch.tensor([3, 7]), torch.randn(2, 16))
    (z.sum() + kl.sum()).backward()
    assert codes.mean.weight.grad.is_sparse
    assert codes.mean.weight.grad.coalesce().indices().tolist() == [[3, 7]]


def test_the_divergence_is_the_closed_form():
    codes = Codes(1, 16)
    _, kl = codes(torch.tensor([0]))
    gaussian = torch.distributions.Normal(codes.mean.weight[0], (0.5 * codes.logvar.weight[0]).exp())
    assert float(kl[0]) == pytest.approx(
        float(torch.distributions.kl_divergence(gaussian, torch.distributions.Normal(0, 1)).sum()), rel=1e-4
    )
