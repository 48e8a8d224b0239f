"""Event files for TensorBoard, out of the rows of metrics.jsonl: a recording, which decides nothing.

Every process of a run writes its event file whole, from the rows of all epochs so far, and then empties those
of the processes before it: an epoch is there once, whatever killed them.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tombola.errors import missing_extra
from tombola.experiments.config import RunConfig
from tombola.experiments.layers import NAME as LAYERS

FOLDER = "tensorboard"
_ENDING = ".tombola"  # of our event files: others in the folder are not ours
_EXTRA = "tensorboard"
# What the table of runs shows beside their settings.
_RESULTS = ("test_accuracy", "density", "bits_per_weight", "seconds")


def wanted(config: RunConfig, folder: Path | None) -> bool:
    """Whether the run in `folder` (None: a new one) is to have event files: asked for, or begun with them.

    Raises TombolaError where it is and the packages are missing.
    """
    begun = folder / FOLDER if folder is not None and (folder / FOLDER).is_dir() else None
    if not config.tensorboard and begun is None:
        return False
    if find_spec("tensorboard") is None:
        raise missing_extra("--tensorboard" if config.tensorboard else f"going on with {begun}", _EXTRA)
    return True


@contextmanager
def recorded(
    config: RunConfig, folder: Path, history: Sequence[Mapping[str, Any]], elapsed: float
) -> Iterator[EventFile]:
    """An event file of the run in `folder` for the time of the block, beginning with the epochs of `history`;
    the run has taken `elapsed` seconds by now. Raises OSError where it cannot be written.
    """
    place = folder / FOLDER
    earlier = list(place.glob(f"events.out.tfevents.*{_ENDING}"))
    with _failures_told_once():
        events = EventFile(config, place, time.time() - elapsed)
        try:
            for row in history:
                events.epoch(row)
            for path in earlier:
                # Not before all that they say is said again; nor removed, or a TensorBoard that is reading
                # one would never get to the next.
                os.truncate(path, 0)
            yield events
        finally:
            events.close()


@contextmanager
def _failures_told_once() -> Iterator[None]:
    """The thread that writes hands what fails on to whoever writes next; here it prints no traceback of it
    besides.
    """
    before = threading.excepthook

    def tell(failed: threading.ExceptHookArgs) -> None:
        if not type(failed.thread).__module__.startswith(_EXTRA):
            before(failed)

    threading.excepthook = tell
    try:
        yield
    finally:
        threading.excepthook = before


class EventFile:
    """One event file; steps are epochs. `began` (seconds since 1970) is when the run would have begun, had it
    never stopped.
    """

    def __init__(self, config: RunConfig, folder: Path, began: float) -> None:
        # Imported here: it is an extra, and takes a second.
        from torch.utils.tensorboard import SummaryWriter

        self._folder, self._began = folder, began
        # A TensorBoard that has read the file of an earlier process forgets it at purge_step.
        self._writer = SummaryWriter(str(folder), purge_step=0, filename_suffix=_ENDING)
        self._file: Any = self._writer.file_writer
        self._end = self._introduce(config)
        self._writer.flush()

    def epoch(self, row: Mapping[str, Any]) -> None:
        """Write every number in a row of metrics.jsonl, called as there."""
        numbers = {f"metrics/{name}": value for name, value in row.items() if name != "epoch"}
        self._write(numbers, row["epoch"], row["seconds"])

    def end(self, result: Mapping[str, Any], epochs: int) -> None:
        """Write what the run ended with after so many `epochs`: results, and what it kept of each layer."""
        numbers = {f"result/{name}": result.get(name) for name in _RESULTS}
        self._write({**numbers, **_of_layers(self._folder.parent / LAYERS)}, epochs, result["seconds"])
        self._file.add_summary(self._end)
        self._writer.flush()

    def close(self) -> None:
        """Flush and close the file."""
        self._writer.close()

    def _introduce(self, config: RunConfig) -> Any:
        """Write the configuration, as text and as hyperparameters; what ends the latter."""
        from torch.utils.tensorboard.summary import hparams

        text = "".join(f"    {line}\n" for line in config.to_toml().splitlines())  # verbatim, in Markdown
        self._writer.add_text("config.toml", text, 0)
        settings = {n: v if isinstance(v, int | float) else str(v) for n, v in config.settings().items()}
        shown = {"metrics/validation_accuracy": 0.0, **{f"result/{name}": 0.0 for name in _RESULTS}}
        # Not add_hparams, which wants the results at once and writes a file of its own for them.
        experiment, start, end = hparams(settings, shown)  # type: ignore[no-untyped-call]
        for summary in (experiment, start):
            self._file.add_summary(summary)
        return end

    def _write(self, numbers: Mapping[str, Any], step: int, seconds: float) -> None:
        for name, value in numbers.items():
            if isinstance(value, int | float):
                self._writer.add_scalar(name, value, step, self._began + seconds)
        self._writer.flush()


def _of_layers(path: Path) -> dict[str, float]:
    """Fractions by layer: of its weights those that are alive in the source and those that are kept, and of
    the kept ones those that a redraw brought. Nothing where a run keeps everything, and has no such record.
    """
    if not path.exists():
        return {}
    found = {}
    for tensor in json.loads(path.read_text())["tensors"]:
        name, weights, kept = tensor["name"], max(1, tensor["weights"]), tensor["kept"]
        found[f"source_density/{name}"] = tensor["alive"] / weights
        found[f"density/{name}"] = kept / weights
        if tensor["generations"] is not None:
            redrawn = sum(number for generation, number in tensor["generations"] if generation > 0)
            found[f"redrawn/{name}"] = redrawn / max(1, kept)
    return found
