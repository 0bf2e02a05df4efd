"""python -m evaluators.picture: the README's animation, sampled motions beside recordings of the same label.

python -m evaluators.picture                              results/samples.gif, from the shipped NeRM and the prepared corpus
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nerm.cli import parse, run
from nerm.errors import InputError
from nerm.help import command

FPS = 12.5
"""A .gif waits whole hundredths of a second."""


@dataclass
class Picture:
    """out: the .gif to write.
    sentences: captions of the test split; each has the system's sample, and the recording it belongs to.
    seeds: of the samples, one each.
    system: what is sampled.
    dataset: a prepared one.
    seconds: length of the animation.
    size: in pixels.
    """

    out: str = "results/samples.gif"
    sentences: list[str] = field(
        default_factory=lambda: [
            "a figure crosses the room, makes a half turn and heads back to the start",
            "standing like a captain on deck, a man sways his left arm high and wide",
        ]
    )
    seeds: list[int] = field(default_factory=lambda: [0, 0])
    system: str = "nerm"
    dataset: str = "multirate"
    seconds: float = 2.8
    size: str = "600x210"


@command(Picture)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    settings = parse(Picture, arguments, "For example: out=results/samples.gif")
    from baselines.base import SYSTEMS, load_system
    from nerm import __version__
    from nerm.data.dataset import load_dataset
    from nerm.generator import Condition
    from nerm.held import sample_held
    from nerm.motion.resample import resample
    from nerm.render import parse_size, render

    if len(settings.seeds) != len(settings.sentences):
        raise InputError(f"{len(settings.seeds)} seeds for {len(settings.sentences)} sentences; expected one each")
    size, out = parse_size(settings.size), Path(settings.out)
    dataset, system = load_dataset(settings.dataset), load_system(settings.system, None)
    motions, titles = [], []
    for sentence, seed in zip(settings.sentences, settings.seeds, strict=True):
        item = next((item for item in dataset.items("test") if sentence in item.captions), None)
        if item is None:
            raise InputError(f"sentence '{sentence}' is no caption of the test split of {settings.dataset}")
        (sampled,) = sample_held(system, [Condition(sentence)], [settings.seconds], FPS, [seed])
        recorded = resample(dataset.motion(item).canonical(), FPS).cut(0, settings.seconds)
        motions += [sampled, recorded]
        titles += [f"{SYSTEMS.get(settings.system).title}: {sentence}", "recording"]
    made_by = {"texts": settings.sentences, "seeds": settings.seeds, "system": system.name, "model": system.digest, "version": __version__}
    render(motions, out, titles, size=size, made_by=made_by)
    print(f"{out} ({out.stat().st_size / 1e3:.0f} kB)")
    return 0


if __name__ == "__main__":
    run(main)
