"""Data sets of the Hugging Face hub through `datasets`, failing within seconds when it is out of reach."""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

import pyarrow as pa

from tombola.errors import DataError

_PATIENCE = 4.0  # seconds to wait for a first sign of the hub


def fetch(repository: str, test_split: str = "test") -> tuple[pa.Table, pa.Table]:
    """The tables train and `test_split` of `repository`, downloaded or from the cache of `datasets`.

    Raises DataError, with the cause, where the package is missing or the data cannot be had.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError("needs a package: pip install 'tombola[vision]'") from error
    try:
        with quiet(), offline_if_unreachable():
            splits = datasets.load_dataset(repository)
        train, test = (splits[name].with_format("arrow")[:] for name in ("train", test_split))
    except Exception as error:
        # datasets, huggingface_hub and their HTTP client raise errors of many unrelated classes.
        offline = isinstance(error, ConnectionError)
        raise DataError("out of reach, and not in its cache" if offline else brief(error)) from error
    return train, test


def brief(error: Exception) -> str:
    """The beginning of the message of `error`, on one line: some of theirs are a page long."""
    return shorten(str(error) or type(error).__name__, 160, placeholder=" …")


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings on stderr about retries and caches: what went wrong is said once, in our error."""
    import datasets
    import huggingface_hub

    loggers = (datasets.logging, huggingface_hub.logging)
    before = [logger.get_verbosity() for logger in loggers]
    try:
        for logger in loggers:
            logger.set_verbosity_error()
        yield
    finally:
        for logger, verbosity in zip(loggers, before, strict=True):
            logger.set_verbosity(verbosity)


@contextmanager
def offline_if_unreachable() -> Iterator[None]:
    """Let `datasets` look in its cache alone when the hub does not answer.

    Its own six attempts with growing pauses take 23 seconds without a network, far more behind a
    firewall that drops packets.
    """
    import datasets
    import huggingface_hub

    before = datasets.config.HF_HUB_OFFLINE
    try:
        if not before and not reachable(huggingface_hub.constants.ENDPOINT):
            datasets.config.HF_HUB_OFFLINE = True
        yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def reachable(url: str, patience: float = _PATIENCE) -> bool:
    """Whether a server answers at `url` (if only with an error) within `patience` seconds."""
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=patience):
                answered.set()
        except (OSError, ValueError) as error:
            # A certificate unknown to the system may well be known to the hub's own client.
            unknown = isinstance(getattr(error, "reason", None), ssl.SSLError)
            if unknown or isinstance(error, urllib.error.HTTPError):
                answered.set()

    # In a thread of its own because no time limit holds for the look-up of a name.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(patience)
    return answered.is_set()
