"""The commands below a command."""

from collections.abc import Iterator

import click


def subcommands(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    """Yield the name and the command of each subcommand, sorted by name."""
    context = click.Context(group)
    for name in sorted(group.list_commands(context)):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command


def runnable_commands(command: click.Command, name: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the names of all commands that have no subcommands."""
    if not isinstance(command, click.Group):
        yield name
        return
    for each, below in subcommands(command):
        yield from runnable_commands(below, (*name, each))
