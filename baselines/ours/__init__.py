"""NeRM, the same trained at 20 fps, and the paper's method, whole and with one thing changed."""

from baselines.base import System


def _entry(name: str, title: str, trains: str) -> System:
    module = f"{__name__}.system"
    return System(name, title, loads=f"{module}:load", trains=f"{module}:{trains}", leaves="field.safetensors")


def _dense(name: str, title: str, trains: str) -> System:
    module = f"{__name__}.dense"
    return System(name, title, loads=f"{module}:load", trains=f"{module}:{trains}", leaves="field.safetensors")


ENTRIES = [
    _entry("nerm", "NeRM", "train"),
    _entry("nerm-fixed", "NeRM trained at 20 fps", "train_fixed"),
    _dense("nerm-dense", "NeRM with dense codes", "train"),
    _dense("nerm-dense-fixed", "NeRM with dense codes trained at 20 fps", "train_fixed"),
    _entry("nerm-paper", "NeRM as in the paper", "train_paper"),
    _entry("nerm-paper-whole", "NeRM as in the paper, trained as long as its ablations", "train_paper"),
    _entry("nerm-paper-none", "NeRM as in the paper, without an encoding of time", "train_paper_none"),
    _entry("nerm-paper-simple", "NeRM as in the paper, with sines and cosines of time", "train_paper_simple"),
    _entry("nerm-paper-not-variational", "NeRM as in the paper, with points for codes", "train_paper_not_variational"),
    _entry("nerm-paper-not-normalized", "NeRM as in the paper, with time in seconds", "train_paper_not_normalized"),
    _entry("nerm-paper-fixed", "NeRM as in the paper, trained at 20 fps", "train_paper_fixed"),
]
