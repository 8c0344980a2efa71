"""`fedwright report`: where the report of a request lies."""

import webbrowser
from typing import Annotated

import typer

from fedwright_operator.cli.ending import Refusal
from fedwright_operator.cli.lookup import called, request_named, store_of
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, RequestName, home_at
from fedwright_operator.local.artifacts import Artifacts
from fedwright_operator.local.files import write_whole


def report(
    name: RequestName,
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
    show: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
) -> None:
    """Print the path of a request's report, or open it.

    Example: fedwright report digits-noniid --home demo --open
    """
    where = home_at(home)
    request = request_named(store_of(where), name, namespace)
    digest = request.status.report
    if digest is None:
        raise Refusal(f"{called(request)} is {request.status.phase} and has no report yet; go on with `fedwright run`")
    path = where.root / "report.html"
    write_whole(path, Artifacts(where.artifacts).read(digest))
    print(path.absolute())
    if show:
        webbrowser.open(path.absolute().as_uri())
