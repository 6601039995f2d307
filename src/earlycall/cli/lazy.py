"""Commands that are imported when they run, so that ``earlycall --help`` answers at once."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command


def lazy_group(home: str, commands: Mapping[str, str]) -> type[TyperGroup]:
    """A group of commands, each imported when it runs or shows its own help.

    Args:
        home: the package of the commands. The command ``NAME`` is the function ``command`` or the
            app ``app`` of its module ``NAME``.
        commands: the names, each with its line in the group's help.
    """

    class Group(LazyGroup):
        package = home
        listed = commands

    return Group


def show_help_alone(ctx: typer.Context) -> None:
    """The callback of a group of commands: without a command, its help, and exit code 2."""
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())
        raise typer.Exit(2)


def _list_all(wanted: bool) -> None:
    from earlycall.cli import output

    output.verbose |= wanted


Verbose = Annotated[
    bool,
    typer.Option(
        "-v",
        "--verbose",
        callback=_list_all,
        expose_value=False,
        help="Show all columns, and all that notes name only the first few of.",
    ),
]


def _takes_verbose(verbose: Verbose = False) -> None:
    """Holds the option of every command that reads logs."""


class LazyGroup(TyperGroup):
    """What `lazy_group` gives a package and its commands to."""

    package: ClassVar[str]
    listed: ClassVar[Mapping[str, str]]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Stand-ins, which are all that lists of commands need.
        self.commands = {name: TyperCommand(name, help=line) for name, line in self.listed.items()}

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command itself, and its arguments."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        if name is None or stand_in is None:
            return name, stand_in, rest
        module = import_module(f"{self.package}.{name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False)
            app.command(name)(module.command)
        command = get_command(app)
        command.name = name
        if any(parameter.name in ("paths", "sets", "runs") for parameter in command.params):
            holder = typer.Typer(add_completion=False)
            holder.command()(_takes_verbose)
            command.params += get_command(holder).params
        return name, command, rest
