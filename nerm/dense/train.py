"""Trains NeRM with dense codes: NeRM itself, then the dense field and the denoiser of details, within a budget; resumable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nerm.budget import Budget
from nerm.cli import progress
from nerm.conditions import Conditions, conditions_of
from nerm.dense.codes import dense_codes
from nerm.dense.detail_training import train_detail
from nerm.dense.field_training import load_dense_field, train_dense_field
from nerm.dense.system import KIND, DenseNeRM, DenseSettings
from nerm.errors import InputError
from nerm.model import NeRM, load_nerm
from nerm.sentence_space import enter
from nerm.text import load_text_encoder
from nerm.train import Train, train_nerm

if TYPE_CHECKING:
    from nerm.data.dataset import Dataset, Item

SHARES = {"nerm": 0.45, "field": 0.2, "detail": 0.35}
"""Shares of a budget in minutes."""
STEPS = {"nerm": 22, "field": 4, "detail": 24}
"""Shares of a budget in steps, in units of their sum."""
PREPARATION_S = {"detail": 0.02}
"""What a stage does before its first step, in seconds for each training item on one core."""


def train_dense(dataset: Dataset, nerm: Train, settings: DenseSettings, budget: Budget, folder: Path) -> Path:
    """Train all stages, each within its share of the budget; the path of the whole system. nerm: settings of NeRM.

    A whole NeRM that lies in folder/nerm without a run of its own is taken as it is.
    """
    items = len(dataset.items("train"))
    parts = budget.parts(SHARES, {stage: seconds * items for stage, seconds in PREPARATION_S.items()})
    if budget.steps is not None:
        parts = {stage: replace(part, steps=max(budget.steps * STEPS[stage] // sum(STEPS.values()), 1)) for stage, part in parts.items()}
    path, whole = folder / f"{KIND}.safetensors", folder / "nerm" / "nerm.safetensors"
    given = whole.is_file() and not whole.with_name("field.safetensors").is_file()  # beside it lies what trains it here
    base = load_nerm(whole if given else train_nerm(dataset, nerm, parts["nerm"], folder / "nerm"))
    labels = sorted({item.label for item in dataset.items("train")} - {""})
    if (base.labels, base.field.skeleton.names) != (labels, dataset.skeleton.names):
        raise InputError(
            f"{whole} was trained on other labels or another skeleton than dataset '{dataset.name}' has; give one that was not"
        )
    outcome = train_dense_field(dataset, settings.field, parts["field"], folder)
    progress(f"dense field: {outcome.steps} steps in {outcome.seconds / 60:.1f} min: {outcome.history[-1]}")
    field_settings, field_, of_field = load_dense_field(folder / "field.safetensors")
    codes = dense_codes(field_, dataset, field_settings)
    of_detail, detail = train_detail(settings.detail, field_, codes, conditions_for(base, codes.items), parts["detail"], folder)
    progress(f"detail: {of_detail.steps} steps in {of_detail.seconds / 60:.1f} min: {of_detail.history[-1]}")
    training = {"dense field": of_field, "detail": of_detail.facts(settings.detail.batch)}
    DenseNeRM(replace(settings, field=field_settings), base, field_, detail, training).save(path)
    return path


def conditions_for(base: NeRM, items: Sequence[Item]) -> Conditions:
    """The conditions of training items, with sentences as a NeRM reads them."""
    encoder = load_text_encoder(base.stage2.text_encoder) if any(item.captions for item in items) else None
    conditions = conditions_of(items, encoder, base.denoiser.config.text)
    if encoder and base.sentences is not None:
        conditions.texts = enter(base.sentences, conditions.texts)
    return conditions
