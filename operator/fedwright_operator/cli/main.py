"""The entry point: all commands under one name, and what becomes of their exceptions."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import click
import typer

from fedwright_operator.cli import apply, bench, delete, get, intent, kb, logs, report, run, transcript
from fedwright_operator.cli.describe import describe
from fedwright_operator.cli.ending import BAD_INPUT, FAILED, INTERRUPTED, Refusal
from fedwright_operator.cli.options import HOME_VARIABLE
from fedwright_operator.cli.plain import plain
from fedwright_operator.local.home import HomeIsDriven
from fedwright_operator.local.store import StoreError

app = typer.Typer(
    name="fedwright",
    help="From a request in plain words to a federated-learning strategy that was written, judged and rolled out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def before_the_verb(
    home: Annotated[
        Path | None, typer.Option("--home", help="As after the command, which wins where both are given.")
    ] = None,
) -> None:
    """Options that people also write before the command."""
    if home is not None:
        os.environ[HOME_VARIABLE] = str(home)


COMMANDS = (
    run.run,
    apply.apply,
    get.get,
    describe,
    logs.logs,
    intent.answer,
    intent.approve,
    intent.reject,
    intent.promote,
    intent.abort,
    intent.retry,
    delete.delete,
    report.report,
    transcript.transcript,
    bench.bench,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(kb.kb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit status: 0 an answer, 1 failed, 2 bad input, 3 waiting for a person."""
    try:
        status = app(arguments, standalone_mode=False, prog_name="fedwright")
    except click.exceptions.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        return INTERRUPTED
    except click.ClickException as wrong:
        wrong.show()
        return wrong.exit_code
    except (Refusal, StoreError, HomeIsDriven) as refused:
        print(plain(f"fedwright: {refused}"), file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # Whoever read our output has seen enough; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status if isinstance(status, int) else 0
