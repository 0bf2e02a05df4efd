"""Pose space: there and back, and distances that are distances of poses."""

import pytest
import torch

from nerm.field import Field, FieldConfig
from nerm.pose_space import pose_space

SECONDS = 2.0


@pytest.fixture(scope="module")
def field():
    torch.manual_seed(0)
    field = Field(FieldConfig(width=32, layers=2, latent=12, intervals=0, octaves=3)).eval()
    with torch.no_grad():  # half of a code's numbers hardly move the body
        field.film.weight[:, 6:] *= 0.01
    return field


@pytest.fixture(scope="module")
def codes():
    return 0.3 * torch.randn(200, 12, generator=torch.Generator().manual_seed(1))


def space_of(field, codes, flatness):
    return pose_space(field, codes, torch.full((len(codes),), SECONDS), flatness, 2.0)


def test_there_and_back_is_the_code(field, codes):
    space = space_of(field, codes, 0.25)
    assert torch.allclose(space.enter(codes) @ space.back + space.shift, codes, atol=1e-4)


def test_distances_in_pose_space_are_distances_of_poses(field, codes):
    with torch.no_grad():
        times = torch.linspace(0, SECONDS, 20, dtype=torch.float64).expand(200, -1)
        pose = field(times, torch.full((200,), SECONDS, dtype=torch.float64), codes)
        figures = torch.cat([field.joints(pose).flatten(1), pose.root.flatten(1)], -1)

    def correlation(points):
        return torch.corrcoef(torch.stack([torch.pdist(points), torch.pdist(figures)]))[0, 1].item()

    assert correlation(space_of(field, codes, 0.0).enter(codes)) > correlation(codes) + 0.1


@pytest.mark.parametrize("flatness", [0.0, 0.25, 0.5])
def test_deviations_fall_from_the_largest_and_are_equal_at_one_half(field, codes, flatness):
    space = space_of(field, codes, flatness)
    deviation = space.enter(codes).std(0, unbiased=False)
    assert deviation[0].item() == pytest.approx(2.0, rel=0.02)
    assert (deviation[:-1] - deviation[1:]).min() > -0.05
    assert (deviation[-1] / deviation[0] > 0.9) == (flatness == 0.5)
    variance = space.weight * deviation**2  # what a coordinate contributes to poses does not depend on the flatness
    assert (variance[:6].sum() / variance.sum()).item() > 0.95
