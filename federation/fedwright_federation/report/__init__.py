"""The report: what was found, for a person to read. Runs in a judge box."""

from fedwright_federation.report.program import main, page

__all__ = ["main", "page"]
