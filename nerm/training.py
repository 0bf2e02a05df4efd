"""The one training loop, used by everything that is trained: budget in minutes or steps, resume, averaged weights, curves.

It knows modules, losses and time; it knows no motion. A run lives in a folder:
    state.safetensors   everything needed to go on (weights, averages, optimizers, step, seconds)
    history.csv         step, seconds, losses
    curves.png          the same as a picture
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from nerm.budget import Budget, Timer
from nerm.cli import progress as report
from nerm.devices import has_bfloat16
from nerm.errors import InputError


class Task(Protocol):
    """What is trained. `module(*batch, progress=...)` returns (loss, {name: value}); `batch` draws from the generator it is given."""

    @property
    def module(self) -> nn.Module: ...

    def optimizers(self) -> list[torch.optim.Optimizer]: ...

    def batch(self, generator: torch.Generator, progress: float) -> tuple[Any, ...]: ...

    def validate(self) -> dict[str, float]: ...


@dataclass
class Fit:
    """The outcome: averaged weights are in the task's module. history: one entry per log."""

    steps: int
    seconds: float
    history: list[dict[str, float]] = field(repr=False)
    device: str = ""

    def facts(self, batch: int) -> dict[str, Any]:
        """The facts of this training for a model file; batch: the size of its batches."""
        return {
            "steps": self.steps,
            "samples": self.steps * batch,
            "seconds": round(self.seconds, 1),
            "device": self.device,
            "undertrained": undertrained(self.history),
        }


def fingerprint(*tensors: Tensor) -> str:
    """The key of a training that starts from these tensors; other values give another key."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def fit(task: Task, budget: Budget, folder: Path, label: str = "train", key: str = "") -> Fit:
    """Train until the budget is used up, from the state in `folder` if there is one; leaves the averaged weights in task.module.

    key: identifies the data, if an earlier stage may have changed them; a saved state with another key is not continued.
    """
    folder.mkdir(parents=True, exist_ok=True)
    AcceleratorState._reset_state(reset_partial_state=False)  # one process may train several things at several precisions
    accelerator = Accelerator(cpu=budget.device == "cpu" or not torch.cuda.is_available(), mixed_precision=precision(budget))
    module = accelerator.prepare(task.module.train())
    optimizers = [accelerator.prepare(o) for o in task.optimizers()]
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    dense = [p for p in task.module.parameters() if p.requires_grad and not _sparse(p, task.module)]
    average = {name: p.detach().clone() for name, p in _dense_named(task.module)}
    step, before, start, history = _resume(folder, task.module, average, optimizers, accelerator, label, key)
    timer = Timer(budget, before, start)

    def save() -> None:
        if accelerator.is_main_process:
            _save(folder, task.module, average, optimizers, step, timer, history, key)

    def finish() -> None:
        save()
        if accelerator.is_main_process:
            draw_curves(history, folder / "curves.png", label)

    times = budget.validate_times
    _pyplot()  # so that its import is not taken for the cost of a picture
    if timer.seconds() < timer.allotted:
        validation_s, finish_s = _seconds_of(lambda: _validate(task, average)), _seconds_of(finish)
        times = timer.validations(validation_s)
        timer.end = validation_s + 2 * finish_s  # the caller writes the weights once more
    saved, validated = time.monotonic(), len([h for h in history if "val_loss" in h])
    recent: dict[str, list] = {}
    bar = tqdm(
        desc=label, total=100, initial=0, unit="%", disable=not accelerator.is_main_process, bar_format="{l_bar}{bar}| {elapsed} {postfix}"
    )
    while True:
        progress = timer.progress(step)
        if progress >= 1:
            break
        scale = min(1.0, progress / budget.warmup + 0.01) * 0.5 * (1 + math.cos(math.pi * progress))
        for optimizer, initial in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, initial, strict=True):
                group["lr"] = rate * scale
        generator = torch.Generator().manual_seed(budget.seed * 1_000_003 + step * 64 + accelerator.process_index)
        batch = tuple(b.to(accelerator.device) if isinstance(b, Tensor) else b for b in task.batch(generator, progress))
        with accelerator.autocast():
            loss, parts = module(*batch, progress=progress)
        accelerator.backward(loss)
        if budget.max_gradient_norm:
            nn.utils.clip_grad_norm_(dense, budget.max_gradient_norm)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        decay = min(budget.average, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, parameter in _dense_named(task.module):
                average[name].lerp_(parameter.detach(), 1 - decay)
        for name, value in {"loss": loss.detach(), **parts}.items():
            recent.setdefault(name, []).append(value)
        if step % 50 == 0:
            entry = _entry(step, timer.seconds(), recent)
            if not math.isfinite(entry["loss"]):
                raise InputError(f"{label}: the loss is {entry['loss']} at step {step}; the last saved state in {folder} is from before")
            recent = {}
            history.append(entry)
            bar.n = round(100 * progress, 1)
            bar.set_postfix_str(" ".join(f"{k} {v:.4g}" for k, v in entry.items() if k not in ("seconds",)))
            if progress * times > validated + 1:
                validated += 1
                history[-1] |= _validate(task, average)
            if time.monotonic() - saved > budget.save_every_s:
                save()
                saved = time.monotonic()
    bar.close()
    if recent:
        history.append(_entry(step, timer.seconds(), recent))
    if history and "val_loss" not in history[-1]:
        history[-1] |= _validate(task, average)
    finish()
    _load(task.module, average)
    task.module.eval()
    return Fit(step, timer.close(), history, str(accelerator.device))


def _seconds_of(do: Callable[[], object]) -> float:
    begin = time.monotonic()
    do()
    return time.monotonic() - begin


def _entry(step: int, seconds: float, values: dict[str, list]) -> dict[str, float]:
    """An entry of the history: means since the last log."""
    means = {name: float(torch.stack([torch.as_tensor(v) for v in logged]).float().mean()) for name, logged in values.items()}
    return {"step": step, "seconds": round(seconds, 1)} | means


def precision(budget: Budget) -> str:
    """bf16 where the hardware multiplies it natively (CUDA from Ampere on, CPUs with AVX-512 bfloat16), else float32."""
    if budget.precision != "auto":
        return budget.precision
    return "bf16" if has_bfloat16("cuda" if budget.device != "cpu" and torch.cuda.is_available() else "cpu") else "no"


def undertrained(history: list[dict[str, float]], key: str = "val_loss", share: float = 0.2, limit: float = 0.02) -> bool:
    """Does the validation loss still fall by more than `limit` over the last `share` of the run?"""
    losses = [(entry["seconds"], entry[key]) for entry in history if key in entry]
    if len(losses) < 3:
        return True
    start = losses[-1][0] * (1 - share)
    earlier = [value for seconds, value in losses if seconds <= start] or [losses[0][1]]
    return losses[-1][1] < earlier[-1] - limit * abs(earlier[-1])


def draw_curves(history: list[dict[str, float]], path: Path, title: str) -> None:
    """All logged losses against time, one panel each."""
    plt = _pyplot()
    names = sorted({k for entry in history for k in entry} - {"step", "seconds"})
    picture, axes = plt.subplots(1, max(len(names), 1), figsize=(3.2 * max(len(names), 1), 2.8), squeeze=False)
    for axis, name in zip(axes[0], names, strict=False):
        points = [(entry["seconds"] / 60, entry[name]) for entry in history if name in entry]
        axis.plot(*zip(*points, strict=True), lw=1, marker="o" if len(points) < 30 else None, ms=3)
        if all(value > 0 for _, value in points):
            axis.set_yscale("log")
        axis.set(title=name, xlabel="minutes")
    picture.suptitle(title)
    picture.tight_layout()
    picture.savefig(path, dpi=90)
    plt.close(picture)


def _pyplot() -> Any:
    """Imported when it is needed: this takes a second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _dense_named(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in module.named_parameters() if p.requires_grad and not _sparse(p, module))


def _sparse(parameter: nn.Parameter, module: nn.Module) -> bool:
    return any(isinstance(m, nn.Embedding) and m.sparse and m.weight is parameter for m in module.modules())


def _load(module: nn.Module, values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put values into the parameters of these names; returns the values before."""
    named = dict(module.named_parameters())
    with torch.no_grad():
        old = {name: named[name].detach().clone() for name in values}
        for name, value in values.items():
            named[name].copy_(value)
    return old


def _validate(task: Task, average: dict[str, Tensor]) -> dict[str, float]:
    """Validation with the averaged weights."""
    old = _load(task.module, average)
    task.module.eval()
    with torch.no_grad():
        losses = {f"val_{name}": float(value) for name, value in task.validate().items()}
    task.module.train()
    _load(task.module, old)
    return losses


def _save(folder: Path, module: nn.Module, average: dict, optimizers: list, step: int, timer: Timer, history: list, key: str) -> None:
    tensors = {f"module/{k}": v for k, v in module.state_dict().items()} | {f"average/{k}": v for k, v in average.items()}
    groups = []
    for index, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        for parameter, entries in state["state"].items():
            tensors |= {f"optimizer/{index}/{parameter}/{k}": torch.as_tensor(v) for k, v in entries.items()}
        groups.append(state["param_groups"])
    facts = {"step": step, "seconds": timer.seconds(), "start": timer.start, "groups": groups, "history": history, "key": key}
    temporary = folder / "state.tmp"
    save_file({k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}, temporary, {"facts": json.dumps(facts)})
    temporary.replace(folder / "state.safetensors")
    with (folder / "history.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for entry in history for name in entry)))
        table.writeheader()
        table.writerows(history)


def _resume(
    folder: Path, module: nn.Module, average: dict, optimizers: list, accelerator: Accelerator, label: str, key: str
) -> tuple[int, float, float | None, list]:
    path = folder / "state.safetensors"
    if not path.exists():
        return 0, 0.0, None, []
    with safe_open(path, "pt", device=str(accelerator.device)) as file:
        facts = json.loads(file.metadata()["facts"])
        if facts.get("key", "") != key:
            report(f"{label}: what it learns from is not what {path} was trained on; it begins anew")
            return 0, 0.0, None, []
        tensors: dict[str, dict[str, Tensor]] = {"module": {}, "average": {}, "optimizer": {}}
        for key in file.keys():  # noqa: SIM118
            kind, _, name = key.partition("/")
            tensors[kind][name] = file.get_tensor(key)
    try:
        module.load_state_dict(tensors["module"])
    except RuntimeError as error:
        raise InputError(f"{path} is from a run with other settings ({str(error).splitlines()[1].strip()}); give another out=") from None
    average.update(tensors["average"])
    for index, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Any]] = {}
        for name, value in tensors["optimizer"].items():
            owner, parameter, key = name.split("/")
            if int(owner) == index:
                state.setdefault(int(parameter), {})[key] = value.cpu() if key == "step" else value
        for entries in state.values():
            if "step" in entries and any(_is_sparse_adam(o) for o in [optimizer]):
                entries["step"] = int(entries["step"])  # SparseAdam counts in plain integers
        optimizer.load_state_dict({"state": state, "param_groups": facts["groups"][index]})
    return facts["step"], facts["seconds"], facts.get("start", 0.0), facts["history"]


def _is_sparse_adam(optimizer: Any) -> bool:
    return isinstance(getattr(optimizer, "optimizer", optimizer), torch.optim.SparseAdam)
