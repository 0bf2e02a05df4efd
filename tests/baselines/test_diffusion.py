"""The schedule arithmetic that diffusion systems share: against Bayes' rule, closed forms, and diffusers."""

import numpy as np
import pytest
import torch

from baselines.diffusion import Diffusion, SchedulerSettings, betas_of, space_timesteps
from nerm.diffusion import noised
from nerm.errors import InputError


@pytest.mark.parametrize(
    "schedule, steps", [("cosine", 1), ("cosine", 2), ("cosine", 10), ("cosine", 50), ("cosine", 1000), ("linear", 50), ("linear", 1000)]
)
def test_the_posterior_is_that_of_two_gaussians(schedule, steps):
    """Bayes' rule written out: q(x_{t-1} | x_t, x_0) from q(x_t | x_{t-1}) and q(x_{t-1} | x_0)."""
    made = Diffusion.make(steps, schedule=schedule)
    alpha, prior = 1 - made.betas[1:], 1 - made.alphas_cumprod_prev[1:]
    precision = alpha / made.betas[1:] + 1 / prior
    assert np.allclose(made.posterior_variance[1:], 1 / precision, rtol=1e-9)
    assert np.allclose(made.posterior_mean_coef2[1:], np.sqrt(alpha) / made.betas[1:] / precision, rtol=1e-9)
    assert np.allclose(made.posterior_mean_coef1[1:], np.sqrt(made.alphas_cumprod_prev[1:]) / prior / precision, rtol=1e-9)
    assert made.posterior_variance[0] == 0 and np.isfinite(made.posterior_log_variance_clipped).all()


def test_respacing_keeps_the_noise_of_the_steps_it_keeps():
    whole, short = Diffusion.make(1000), Diffusion.make(1000, [50])
    assert short.timestep_map[0] == 0 and short.timestep_map[-1] == 999 and len(short) == 50
    assert np.allclose(short.alphas_cumprod, whole.alphas_cumprod[list(short.timestep_map)], rtol=1e-9)
    assert (betas_of("cosine", 1000) <= 0.999).all()


def test_sections_and_strides():
    assert space_timesteps(10, "ddim5") == [0, 2, 4, 6, 8]
    assert space_timesteps(300, [10, 15, 20])[:2] == [0, 11] and len(space_timesteps(300, "10,15,20")) == 45
    assert space_timesteps(10, [10]) == list(range(10)) and space_timesteps(10, [1]) == [0]
    for counts in ([11], [0], "ddim7"):
        with pytest.raises(InputError):
            space_timesteps(10, counts)


@pytest.mark.parametrize("name", ["ancestral", "ddim"])
def test_a_perfect_network_is_led_to_the_motion(name):
    target = torch.randn(2, 3, 1, 5)
    sampler = getattr(Diffusion.make(20), name)()
    steps = list(sampler.walk(lambda x, call: target, torch.randn(2, 3, 1, 5), torch.randn(20, 2, 3, 1, 5)))
    assert len(steps) == len(sampler) == 20 and torch.allclose(steps[-1].sample, target, atol=1e-5)
    assert sampler.timesteps.tolist() == list(range(19, -1, -1))


def test_ddim_turns_noising_around():
    """With the true x_0 predicted, the deterministic path passes through the noised motion of every step."""
    made, x0, noise = Diffusion.make(30), torch.randn(1, 4, 1, 6), torch.randn(1, 4, 1, 6)
    levels = [made.noised(x0, torch.tensor([k]), noise) for k in range(30)]
    walked = [step.sample for step in made.ddim().walk(lambda x, call: x0, levels[-1])]
    for k in range(1, 30):
        assert torch.allclose(walked[k - 1], levels[29 - k], atol=1e-3)


@pytest.mark.parametrize("name", ["ddim", "ddpm"])
def test_predicting_the_noise_and_predicting_the_motion_are_one_sampler(name):
    """Either prediction, made from the true x_0, leads along the same path."""
    x0, start, noise = torch.randn(3, 8), torch.randn(3, 8), torch.randn(10, 3, 8)
    paths = []
    for kind in ("epsilon", "sample"):
        settings = SchedulerSettings(prediction_type=kind)
        sampler, abar = settings.sampler(name, 10), settings.alphas_cumprod()

        def predict(x, call, kind=kind, sampler=sampler, abar=abar):
            now = abar[int(sampler.timesteps[call])]
            return x0 if kind == "sample" else (x - now.sqrt() * x0) / (1 - now).sqrt()

        paths.append([step.sample for step in sampler.walk(predict, start, noise)])
    for one, other in zip(*paths, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-3)


def test_noise_is_taken_as_it_comes_and_asked_for_where_it_is_added():
    sampler = Diffusion.make(5).ancestral()
    taken = []
    draws = (taken.append(k) or torch.zeros(1, 2) for k in range(9))
    assert len(list(sampler.walk(lambda x, call: x, torch.zeros(1, 2), draws))) == 5 and len(taken) == 4
    with pytest.raises(InputError, match="adds noise in its steps"):
        next(sampler.walk(lambda x, call: x, torch.zeros(1, 2)))


@pytest.mark.parametrize("prediction", ["epsilon", "sample"])
@pytest.mark.parametrize("name", ["ddim", "ddim with noise", "ddpm"])
def test_a_step_is_that_of_diffusers(name, prediction):
    diffusers = pytest.importorskip("diffusers")
    shared = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "clip_sample": False,
        "prediction_type": prediction,
    }
    eta = 0.5 if "noise" in name else 0.0
    settings = SchedulerSettings(prediction_type=prediction, eta=eta)
    ours = settings.sampler(name.split()[0], 20)
    if name == "ddpm":
        theirs = diffusers.DDPMScheduler(**shared, variance_type="fixed_small")
    else:
        theirs = diffusers.DDIMScheduler(**shared, set_alpha_to_one=False, steps_offset=1)
    theirs.set_timesteps(20)
    assert ours.timesteps.tolist() == theirs.timesteps.tolist()
    assert torch.equal(settings.alphas_cumprod(), theirs.alphas_cumprod)
    x, predicted = torch.randn(2, 1, 8), torch.randn(2, 1, 8)
    for k, step in enumerate(theirs.timesteps):
        extra = {"generator": torch.Generator().manual_seed(k)} | ({} if name == "ddpm" else {"eta": eta})
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(k))
        after = float(ours.sample_weight[k]) * x + float(ours.prediction_weight[k]) * predicted + float(ours.noise_weight[k]) * noise
        torch.testing.assert_close(after, theirs.step(predicted, step, x, **extra).prev_sample, atol=2e-5, rtol=2e-5)
    noisy = theirs.add_noise(x, predicted, torch.tensor([3, 900]))
    torch.testing.assert_close(noised(x, predicted, torch.tensor([3, 900]), settings.alphas_cumprod()), noisy)


def test_scheduler_settings_that_cannot_be_honoured_are_named():
    for wrong, message in (
        ({"beta_schedule": "cosine"}, "beta_schedule=cosine"),
        ({"clip_sample": True}, "clip_sample=True"),
        ({"beta_stat": 1.0}, "'beta_stat' is not known; did you mean beta_start"),
    ):
        with pytest.raises(InputError, match=message):
            SchedulerSettings.of(wrong)
    with pytest.raises(InputError, match="1001 sampling steps"):
        SchedulerSettings().sampler("ddim", 1001)
    with pytest.raises(InputError, match="take fewer steps"):
        SchedulerSettings(steps_offset=2).sampler("ddim", 999)
