"""The one clock of a shell, and how its times are written. Reconcilers have none: they are shown the time."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)


def stamp(instant: datetime) -> str:
    """RFC 3339 in UTC, as Kubernetes writes times."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
