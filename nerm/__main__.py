"""The command `nerm`, or python -m nerm: lists the commands, or hands the words on to one of them."""

from __future__ import annotations

from collections.abc import Sequence

from nerm import __version__
from nerm.cli import run, suggest
from nerm.commands import COMMANDS, Command
from nerm.errors import InputError
from nerm.help import HELP
from nerm.registry import load_object


def main(arguments: Sequence[str]) -> int | None:
    """COMMAND key=value ..., --version, or nothing or --help for the list of commands; `help COMMAND` is `COMMAND --help`."""
    name, *words = arguments or ["help"]
    if name in ("--version", "-V", "version"):
        print(f"nerm {__version__}")
        return 0
    if name in HELP or name == "help":
        if not words:
            print(listing())
            return 0
        name, words = words[0], ["--help"]
    if name not in COMMANDS:
        raise InputError(f"nerm has no command '{name}'; {suggest(name, list(COMMANDS))}")
    command = COMMANDS[name]
    asked = load_object(command.target(words))(words)
    for other in others(command, words):  # every page of a command that has several
        print()
        load_object(other)(words)
    return asked


def listing() -> str:
    """One line for every command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.title}" for name, command in COMMANDS.items()]
    last = "nerm COMMAND --help prints the keys of a command, nerm --version the version."
    return "\n".join(["usage: nerm COMMAND key=value ...", "", *lines, "", last])


def others(command: Command, words: Sequence[str]) -> list[str]:
    """If help alone was asked for: the other functions of the command."""
    return command.targets[1:] if list(words) in (["help"], *([word] for word in HELP)) else []


def start() -> None:
    """What the console command calls."""
    run(main)


if __name__ == "__main__":
    start()
