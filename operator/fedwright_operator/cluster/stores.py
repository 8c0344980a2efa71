"""From `artifacts` of the configuration to a store. What cannot be is said once, at the start, with its mend."""

import logging
from urllib.parse import urlsplit

import fsspec

from fedwright_operator.cluster import objects
from fedwright_operator.cluster.config import ArtifactSettings, ConfigError
from fedwright_operator.cluster.folders import Folder
from fedwright_operator.cluster.stored import REFUSED, Backend, Store, StoreError

log = logging.getLogger(__name__)


def opened(settings: ArtifactSettings) -> Store | None:
    """None without a URL. Raises ConfigError for what no waiting mends; a store that is away is only told of."""
    if not settings.url:
        return None
    store = Store(_backend(settings))
    try:
        store.probe()
    except StoreError as problem:
        if problem.reason == REFUSED:
            raise ConfigError(str(problem)) from None
        log.error("%s", problem)
    return store


def _backend(settings: ArtifactSettings) -> Backend:
    scheme = urlsplit(settings.url).scheme
    try:
        if scheme in objects.SCHEMES:
            return objects.opened(settings.url, settings.options)
        files, root = fsspec.core.url_to_fs(
            settings.url, use_listings_cache=False, skip_instance_cache=True, **settings.options
        )
        return Folder(files, root)
    except ImportError as problem:
        raise ConfigError(f"artifacts.url: {scheme}:// is not served by this image ({problem}); {_MEND}") from None
    except Exception as problem:  # each store has its own for a URL or an option that it does not take
        why = str(problem).partition("\n")[0][:300]
        raise ConfigError(f"artifacts: {scheme}:// does not take this url with these options: {why}; {_MEND}") from None


_MEND = "take s3://, gs://, az:// or file:///folder, and options that docs/operations.md names"
