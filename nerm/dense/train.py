"""Trains NeRM with dense codes: field, plans, details, one after the other within a budget; resumable."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.budget import Budget
from nerm.cli import progress
from nerm.dense.detail_training import train_detail
from nerm.dense.field_training import load_dense_field, train_dense_field
from nerm.dense.plan_training import dense_codes, train_plan
from nerm.dense.system import KIND, DenseNeRM, DenseSettings
from nerm.stance_training import BATCH, train_stance

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset

SHARES = {"field": 0.15, "plan": 0.22, "detail": 0.6, "stance": 0.03}
"""Shares of the budget: seven minutes of the field are enough, details need the most."""
PREPARATION_S = {"plan": 0.02, "detail": 0.01, "stance": 0.01}
"""What a stage does before its first step, in seconds for each training item on one core."""


def train_dense(dataset: Dataset, settings: DenseSettings, budget: Budget, folder: Path) -> Path:
    """Train all stages, each within its share of the budget; the path of the whole system."""
    items = len(dataset.items("train"))
    parts = budget.parts(SHARES, {stage: seconds * items for stage, seconds in PREPARATION_S.items()})
    if budget.steps is not None:
        parts = {stage: replace(part, steps=max(int(budget.steps * SHARES[stage]), 1)) for stage, part in parts.items()}
    path = folder / f"{KIND}.safetensors"
    outcome = train_dense_field(dataset, settings.field, parts["field"], folder)
    progress(f"field: {outcome.steps} steps in {outcome.seconds / 60:.1f} min: {outcome.history[-1]}")
    field_settings, field_, of_field = load_dense_field(folder / "field.safetensors")
    codes = dense_codes(field_, dataset, field_settings)
    of_plan, task = train_plan(settings.plan, field_, codes, parts["plan"], folder)
    progress(f"plan: {of_plan.steps} steps in {of_plan.seconds / 60:.1f} min: {of_plan.history[-1]}")
    of_detail, detail = train_detail(settings.detail, field_, task.space, codes, parts["detail"], folder)
    progress(f"detail: {of_detail.steps} steps in {of_detail.seconds / 60:.1f} min: {of_detail.history[-1]}")
    of_stance, stance = train_stance(
        dataset, settings.stance, parts["stance"], folder, field_settings.training_rate, field_settings.fixed_fps
    )
    progress(f"stance: {of_stance.steps} steps in {of_stance.seconds / 60:.1f} min: {of_stance.history[-1]}")
    training = {"field": of_field, "plan": of_plan.facts(settings.plan.batch), "detail": of_detail.facts(settings.detail.batch)}
    training["stance"] = of_stance.facts(BATCH)
    system = DenseNeRM(
        replace(settings, field=field_settings),
        field_,
        task.module.denoiser,
        task.space.shift,
        task.space.back,
        detail,
        task.conditions.labels,
        stance,
        training,
        dataset.digest,
        dataset.name,
    )
    system.save(path)
    return path
