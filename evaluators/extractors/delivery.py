"""An extractor is trained, tested by the controls, and put where it is used only if it passes them.

An extractor that fails a control stays in its run folder, with the table that says why.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from evaluators.extractors import EXTRACTORS, ExtractorEntry
from evaluators.extractors.frozen import check_free, freeze, shipped_path
from nerm import checkpoint
from nerm.atomic import replacing
from nerm.cli import progress
from nerm.errors import InputError
from nerm.registry import load_object

if TYPE_CHECKING:
    from evaluators.extractors.acceptance import Acceptance
    from nerm.budget import Budget
    from nerm.data.dataset import Dataset

CONTROLS_S = 90.0
"""Seconds that the controls take on one core for `multirate`."""


def train_extractor(name: str, dataset: Dataset, budget: Budget, folder: Path, out: Path, trial: bool = False) -> int:
    """Train in `folder` (resumable), run the controls, and write to `out` if it passes them. Returns the exit code: 1 if it fails.

    trial: write to `out` even if it fails, unless that is the shipped place. The page beside the weights says that they were not accepted.
    """
    from evaluators.extractors.acceptance import FPS, accept

    entry = trainable(name)
    check_free(name, entry.version, out)
    trained = folder / entry.file
    progress(f"{name}: the controls come after its training, and about {CONTROLS_S:.0f} s of them are not part of its budget")
    load_object(entry.trains)(dataset, budget, folder, trained)
    progress(f"{name}: {trained}; now the controls")
    with budget.clock.stopped():
        outcome = accept(load_object(entry.loads)(trained), dataset, budget.seed, decisive=entry.decisive_fps or FPS)
    print(outcome.markdown())
    about = {"dataset": f"{dataset.name}, sha256 {dataset.digest}", "minutes": budget.minutes, "steps": budget.steps, "seed": budget.seed}
    return deliver(entry, trained, out, outcome, about, trial)


def trainable(name: str) -> ExtractorEntry:
    """The entry of an extractor that can be trained."""
    entry = EXTRACTORS.get(name)
    if not entry.trains:
        raise InputError(f"extractor '{name}' has nothing to train: {entry.title}")
    return entry


def deliver(entry: ExtractorEntry, trained: Path, out: Path, outcome: Acceptance, facts: dict, trial: bool = False) -> int:
    """Put accepted weights in their place, with the controls' table beside them, and freeze shipped ones. Others stay where they are."""
    digest, ships = checkpoint.sha256(trained), out.resolve() == shipped_path(entry.name).resolve()
    about = {"extractor": entry.name, "version": entry.version, "sha256": digest, "accepted": outcome.passed, **facts}
    _write(trained.with_suffix(".md"), _page(about, outcome))
    if not outcome.passed:
        failed = outcome.checks[~outcome.checks["passed"] & outcome.checks["decisive"]]
        reasons = "; ".join(f"{check.demand} at {check.fps:g} fps: {check.detail}" for check in failed.itertuples())
        if ships or not trial:
            progress(f"{entry.name}: not accepted ({reasons}); the weights stay at {trained}")
            return 1
        progress(f"{entry.name}: not accepted ({reasons}); used all the same, for this is a trial")
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as temporary:
        shutil.copyfile(trained, temporary)
    _write(out.with_suffix(".md"), _page(about, outcome))
    if ships:
        freeze(entry.name, entry.version, digest)
    progress(f"{entry.name}: {'accepted; ' if outcome.passed else ''}{out} has sha256 {digest}")
    return 0


def _page(about: dict, outcome: Acceptance) -> str:
    facts = "\n".join(f"- {key}: {value}" for key, value in about.items() if value is not None)
    decisive = ", ".join(f"{fps:g}" for fps in dict.fromkeys(outcome.checks["fps"][outcome.checks["decisive"]]))
    return (
        f"# Extractor `{about['extractor']}`\n\n{facts}\n\nControls: how far damaged test recordings are from the recordings themselves, "
        "in standard deviations of what chance makes of a distance between as many trials (`evaluators.extractors.acceptance`). Acceptance "
        f"rests on {decisive} fps.\n\n{outcome.markdown()}"
    )


def _write(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)
