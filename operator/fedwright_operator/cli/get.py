"""`fedwright get`: resources as tables, JSON, YAML or names, once or as they change."""

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
import yaml

from fedwright_operator.cli.columns import Row, row
from fedwright_operator.cli.lookup import called, existing, store_of, target
from fedwright_operator.cli.options import DEFAULT_HOME, HomeFolder, Namespace, Output, home_at
from fedwright_operator.cli.plain import plain_line
from fedwright_operator.local.store import Store
from fedwright_operator.shell.clock import now
from fedwright_operator.shell.kinds import KINDS, AnyResource, Kind

WATCH_SECONDS = 0.2


def get(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KIND] [NAME]", help="flsr, flcand, flfed, fldep; all kinds if left out."),
    ] = None,
    home: HomeFolder = DEFAULT_HOME,
    namespace: Namespace = "default",
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the output.")] = Output.TABLE,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on and print what changes.")] = False,
) -> None:
    """Show resources; works beside a `run` in another terminal.

    Examples: fedwright get --home demo; fedwright get flcand -w; fedwright get digits-noniid -o json
    """
    store = store_of(home_at(home))
    kinds, name = _asked(words)
    found = _find(store, kinds, name, namespace)
    _show(found, output, single=name is not None)
    if watch:
        _watch(store, kinds, name, namespace, output, found)


def _asked(words: Sequence[str] | None) -> tuple[Sequence[Kind], str | None]:
    if not words:
        return KINDS, None
    kind, name = target(words)
    return (kind,), name


def _find(store: Store, kinds: Sequence[Kind], name: str | None, namespace: str) -> list[AnyResource]:
    if name is not None:
        return [existing(store, kinds[0].model, name, namespace)]
    return [one for kind in kinds for one in store.list(kind.model) if one.metadata.namespace == namespace]


def _watch(
    store: Store, kinds: Sequence[Kind], name: str | None, namespace: str, output: Output, shown: list[AnyResource]
) -> None:
    """Until it is interrupted. Each version of a resource is shown once."""
    versions = {_version(one) for one in shown}
    while True:
        sys.stdout.flush()
        time.sleep(WATCH_SECONDS)
        present = [one for kind in kinds for one in store.list(kind.model) if one.metadata.namespace == namespace]
        wanted = [one for one in present if name is None or one.metadata.name == name]
        fresh = [one for one in wanted if _version(one) not in versions]
        versions |= {_version(one) for one in fresh}
        for one in fresh:
            _show([one], output, single=True, heading=False)


def _version(resource: AnyResource) -> tuple[str | None, str | None]:
    return resource.metadata.uid, resource.metadata.resource_version


def _show(found: Sequence[AnyResource], output: Output, *, single: bool, heading: bool = True) -> None:
    match output:
        case Output.JSON:
            print(json.dumps(_document(found, single), indent=2))
        case Output.YAML:
            print(yaml.safe_dump(_document(found, single), sort_keys=False), end="" if heading else "---\n")
        case Output.NAME:
            print("".join(f"{called(one)}\n" for one in found), end="")
        case _:
            _tables(found, wide=output is Output.WIDE, heading=heading)


def _document(found: Sequence[AnyResource], single: bool) -> Any:
    if single:
        return found[0].to_wire()
    return {"apiVersion": "v1", "kind": "List", "items": [one.to_wire() for one in found]}


def _tables(found: Sequence[AnyResource], *, wide: bool, heading: bool) -> None:
    """One table a kind; columns of different kinds do not mix."""
    if not found:
        print("No resources found.")
        return
    tables = [
        rows for kind in KINDS if (rows := [row(one, now(), wide=wide) for one in found if type(one) is kind.model])
    ]
    print("\n\n".join(table(rows, heading=heading) for rows in tables))


def table(rows: Sequence[Row], *, heading: bool) -> str:
    """Columns padded to their widest value."""
    lines = [list(rows[0]), *([plain_line(value) for value in one.values()] for one in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [
        "   ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip() for line in lines
    ]
    return "\n".join(padded if heading else padded[1:])
