"""Options that many commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fedwright_operator.cli.ending import Refusal
from fedwright_operator.local.home import Home

HOME_VARIABLE = "FEDWRIGHT_HOME"
HomeFolder = Annotated[
    Path,
    typer.Option("--home", envvar=HOME_VARIABLE, help="Folder that holds everything.", show_default=True),
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the resources.")]
RequestName = Annotated[str, typer.Argument(metavar="REQUEST", help="Name of the request.")]

DEFAULT_HOME = Path("~/.fedwright")


class Output(StrEnum):
    """Forms of `get`."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def home_at(folder: Path) -> Home:
    root = folder.expanduser()
    if root.exists() and not root.is_dir():
        raise Refusal(f"--home: {root} is not a folder; name one, or one that is still to be made")
    return Home(root)


def given_options(home: Path, namespace: str) -> str:
    """The options that say the same again, for a command that a person is to copy."""
    at = "" if home == DEFAULT_HOME else f" --home {home}"
    return at if namespace == "default" else f"{at} -n {namespace}"
