"""The API reference: builds pages from the docstrings of what is meant for others, by pdoc.

    python docs/reference.py                    site/index.html
    python docs/reference.py out=DIR

A module that is not listed here may change without notice. Building changes what types are called in these modules, so that it needs a
process of its own.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import get_type_hints

from nerm import __version__
from nerm.cli import parse, run
from nerm.errors import InputError
from nerm.help import command

MODULES = (
    "nerm.generator",
    "nerm.model",
    "nerm.motion",
    "nerm.motion.motion",
    "nerm.motion.skeleton",
    "nerm.motion.resample",
    "nerm.motion.kinematics",
    "nerm.motion.rotations",
    "nerm.motion.files",
    "nerm.motion.made_by",
    "nerm.motion.bvh",
    "nerm.motion.rig_resample",
    "nerm.motion.features",
    "nerm.data.dataset",
    "nerm.registry",
    "nerm.errors",
    "baselines.base",
    "evaluators.extractors",
    "evaluators.protocols",
    "evaluators.tables",
    "evaluators.metrics",
    "evaluators.metrics.trials",
    "evaluators.metrics.distribution",
    "evaluators.metrics.retrieval",
    "evaluators.metrics.physical",
    "evaluators.metrics.reconstruction",
    "evaluators.metrics.detail",
    "evaluators.intervals",
    "evaluators.records",
    "evaluators.store",
)
"""The public surface, in the order of the reference."""
ARRAYS = ("NDArray", "ArrayLike", "Array")
"""Names of types that numpy spells over several lines."""


@dataclass
class Reference:
    """Keys of the command.

    out: folder of the pages.
    """

    out: str = "site"


@command(Reference)
def main(arguments: Sequence[str]) -> int:
    """See the module's docstring."""
    print(build(Path(parse(Reference, arguments).out)))
    return 0


def build(out: Path) -> Path:
    """Write the pages into a folder; the path of the first one."""
    try:
        import pdoc
        from jinja2 import pass_context
    except ImportError:
        raise InputError('pdoc is not here: pip install -c constraints.txt -e ".[docs]"') from None
    for name in MODULES:
        module = import_module(name)
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, tuple) and value.__module__ == name:
                _explain_fields(value)
        vars(module).update({short: _named(short) for short in ARRAYS if short in vars(module)})
    to_markdown = pdoc.render.env.filters["to_markdown"]
    pdoc.render.env.filters["to_markdown"] = pass_context(lambda context, text: to_markdown(context, as_list(text)))
    pdoc.render.configure(docformat="markdown", footer_text=f"nerm {__version__}")
    others = f"!(?!({'|'.join(map(re.escape, MODULES))})$)"  # of the packages that are listed
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* a module with this name has already been added")
        pdoc.pdoc(*MODULES, others, output_directory=out)
    return out / "index.html"


def as_list(docstring: str) -> str:
    """The docstring in Markdown, in which 'one: meaning.  other: meaning' is a list, as `nerm.help` reads it too."""
    return re.sub(r"(?:^|(?<=\n)|(?<=  ))([a-z_]\w*(?:, [a-z_]\w*)*): ", r"\n\n- `\1`: ", docstring)


def _explain_fields(named: type) -> None:
    """pdoc reads the types of a named tuple in the wrong module, and repeats that a field is 'Alias for field number 0'."""
    named.__new__.__annotations__ = get_type_hints(named)
    for field in getattr(named, "_fields", ()):
        getattr(named, field).__doc__ = ""


def _named(short: str) -> type:
    """What is printed as that name, whatever stands in brackets behind it: the shapes are in the docstrings."""
    return type(short, (), {"__module__": "builtins", "__class_getitem__": classmethod(lambda cls, item: cls)})


if __name__ == "__main__":
    run(main)
