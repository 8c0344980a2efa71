"""The command line: verbs that write intent, views that read, and `run`, which drives a home. It decides nothing itself."""

from fedwright_operator.cli.main import main

__all__ = ["main"]
