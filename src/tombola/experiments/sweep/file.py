"""The file of a sweep -> its runs, each with a name and a checked configuration.

docs/sweep.md describes the file.
"""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any

from tombola.data import names as data
from tombola.errors import ArgumentError, RunError, TombolaError, unknown
from tombola.experiments.config import Device, RunConfig
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sweep.combinations import Options, check_number, drawn, listed, on_grid
from tombola.experiments.sweep.names import folder_name
from tombola.experiments.train_config import TrainConfig
from tombola.models import names as models
from tombola.rng import check_seed

COMMANDS: dict[str, type[RunConfig]] = {"search": SearchConfig, "train": TrainConfig}
_KEYS = ("command", "seeds", "options", "grid", "list", "random", "resources")
_OWN = {
    "seed": "give seeds = [0, 1, 2], or their number, at the top of the file",
    "out": "the sweep's --out holds the folders of the runs",
    "resume": "a sweep always goes on with what has begun",
}


@dataclass(frozen=True)
class Resources:
    """What one run takes: threads of a CPU, and GPUs (0.5: two runs share one; 0: it computes on the CPU).

    `retries` is how often it is begun again, from its checkpoint, when its process or machine dies.
    """

    cpus: int = 1
    gpus: float = 0.0
    retries: int = 3


@dataclass(frozen=True)
class SweepRun:
    """One run: the name of its folder, the options that vary (seed last), and all of them."""

    name: str
    options: Options
    config: RunConfig


@dataclass(frozen=True)
class Sweep:
    """The runs in the order of the file; `merged` random draws were equal to earlier ones and left out."""

    path: Path
    text: bytes
    resources: Resources
    runs: tuple[SweepRun, ...]
    merged: int


def read_sweep(path: Path) -> Sweep:
    """Read the file of a sweep and check every run in it.

    Raises RunError where it is missing or no TOML, and ArgumentError, naming the run, for options that no
    run can have, that are given twice, or that are the sweep's own.
    """
    try:
        text = path.read_bytes()
        values = tomllib.loads(text.decode())
    except OSError as error:
        raise RunError(f"cannot read the sweep {path}: {error.strerror}") from None
    except ValueError as error:
        raise RunError(f"cannot read the sweep {path}: {error}") from None
    try:
        resources = _resources(values.get("resources", {}))
        runs = _runs(values, resources)
        distinct = _distinct(runs, merge="random" in values)
    except TombolaError as error:
        raise type(error)(f"{path}: {error}") from None
    return Sweep(path, text, resources, distinct, len(runs) - len(distinct))


def _runs(values: dict[str, Any], resources: Resources) -> list[SweepRun]:
    for key in values:
        if key not in _KEYS:
            raise unknown("key", key, _KEYS)
    command = values.get("command", "search")
    if command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    seeds = _seeds(values.get("seeds", 1))
    common = _table("options", values.get("options", {}))
    parts = [
        on_grid(_table("grid", values.get("grid", {}))),
        listed(_tables(values.get("list", [{}]))),
        drawn(_table("random", values["random"])) if "random" in values else [{}],
    ]
    check_number(len(seeds) * math.prod(len(part) for part in parts))
    _check_names(common, values)
    combined = [grid | entry | random for grid, entry, random in product(*parts)]
    return [
        _sweep_run(COMMANDS[command], common, varying, seed, resources)
        for varying in combined
        for seed in seeds
    ]


def _sweep_run(
    kind: type[RunConfig], common: Options, varying: Options, seed: int, resources: Resources
) -> SweepRun:
    config = kind.from_values({**common, **varying, "seed": seed}, Path("this sweep"))
    options = {name: getattr(config, name) for name in [*sorted(varying), "seed"]}
    name = folder_name(options)
    try:
        config = _placed(config, resources)
        config.check()
        data.check_name(config.data)
        if ":" not in config.model:  # else it is asked for where the sweep runs
            models.check_name(config.model)
    except ArgumentError as error:
        raise ArgumentError(f"run {name}: {error}") from None
    return SweepRun(name, options, config)


def _placed(config: RunConfig, resources: Resources) -> RunConfig:
    """`config` with threads and device settled, so that a run is the same whatever engine runs it, and takes
    no more processes than it has cores.
    """
    device: Device = "cuda" if resources.gpus else "cpu"
    if config.device not in ("auto", device):
        raise ArgumentError(
            f"device {config.device} was asked for, but gpus in [resources] are {resources.gpus:g}"
        )
    workers = resources.cpus - 1 if config.workers is None else config.workers
    return replace(config, device=device, threads=config.threads or resources.cpus, workers=workers)


def _distinct(runs: list[SweepRun], merge: bool) -> tuple[SweepRun, ...]:
    """The runs without those that equal an earlier one, of which random draws alone may have some."""
    found: dict[RunConfig, SweepRun] = {}
    for run in runs:
        first = found.setdefault(run.config, run)
        if first is not run and not merge:
            raise ArgumentError(f"runs {first.name} and {run.name} are the same")
    return tuple(found.values())


def _check_names(common: Options, values: dict[str, Any]) -> None:
    """Every option is given in one place alone, and none is the sweep's own."""
    places = {
        "options": list(common),
        "grid": list(values.get("grid", {})),
        "list": list({name: None for table in values.get("list", []) for name in table}),
        "random": [name for name in values.get("random", {}) if name not in ("count", "seed")],
    }
    home: dict[str, str] = {}
    for place, names in places.items():
        for name in names:
            if name in _OWN:
                raise ArgumentError(f"option {name!r} cannot be given in [{place}]: {_OWN[name]}")
            if home.setdefault(name, place) != place:
                raise ArgumentError(f"option {name!r} is given in [{home[name]}] and again in [{place}]")


def _resources(given: Any) -> Resources:
    table = _table("resources", given)
    known = [field.name for field in fields(Resources)]
    for key in table:
        if key not in known:
            raise unknown("key in [resources]:", key, known)
    resources = Resources(**table)
    for name, least in (("cpus", 1), ("retries", 0)):
        value = getattr(resources, name)
        if type(value) is not int or value < least:
            raise ArgumentError(
                f"{name} in [resources] must be a whole number of at least {least}, got {value!r}"
            )
    gpus = resources.gpus
    if type(gpus) not in (int, float) or not 0 <= gpus < math.inf or (gpus > 1 and gpus != int(gpus)):
        raise ArgumentError(f"gpus in [resources] must be a fraction of one, or a whole number, got {gpus!r}")
    return resources


def _seeds(given: Any) -> list[int]:
    if type(given) is int and given >= 1:
        check_number(given)
        return list(range(given))
    if not isinstance(given, list) or not given:
        raise ArgumentError(f"seeds must be a list of seeds, or their number, got {given!r}")
    seeds = [check_seed(seed) for seed in given]
    if len(set(seeds)) < len(seeds):
        raise ArgumentError(f"seeds must differ, got {given!r}")
    return seeds


def _tables(given: Any) -> list[Options]:
    if not isinstance(given, list) or not given or not all(isinstance(table, dict) for table in given):
        raise ArgumentError(f"list must be tables, each begun by [[list]], got {given!r}")
    return given


def _table(name: str, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ArgumentError(f"{name} must be a table, begun by [{name}], got {given!r}")
    return given
