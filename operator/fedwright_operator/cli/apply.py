"""`fedwright apply`: write manifests and start nothing."""

from pathlib import Path
from typing import Annotated

import typer

from fedwright_operator.cli import manifest
from fedwright_operator.cli.lookup import called
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, home_at


def apply(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="YAML with one or more resources; - reads standard input.")
    ],
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
) -> None:
    """Write resources into the home, as `kubectl apply` would. Nothing is started.

    Example: fedwright apply examples/digits-noniid.yaml --home demo
    """
    for resource, done in manifest.apply_all(home_at(home), manifest.read(home_at(home), file, namespace)):
        print(f"{called(resource)} {done}")
