"""The configuration of a run, declared once: flags, help and files follow from these dataclasses.

No torch here, so that `tombola --help` need not wait for it.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

from tombola.errors import ArgumentError, RunError, unknown

# What says where a run reads and writes, but not what it computes.
_PLACES = ("data_dir", "out", "resume")
NONE = "none"  # TOML has no word for None
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}

Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]
METHODS = ("iterand", "edge-popup")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run has: data, model, optimiser, machine."""

    command: ClassVar[str] = "run"
    data: str = "digits"
    """Data set: digits, cifar10, cifar100, tiny-imagenet, a table (iris, wine, breast-cancer; take --model
    mlp), or the path of a folder of parquet files or of images."""
    data_dir: Path | None = None
    """Folder with train.parquet, or its parent; None: $TOMBOLA_DATA, then the Hugging Face hub."""
    model: str = "conv2"
    """Architecture: mlp, lenet-300-100, conv2 … conv8, vgg16, vgg19, resnet18 … resnet101, or
    package.module:function, called with width=, in_channels=, classes=."""
    width: float = 1.0
    """Factor on the channels and hidden layers of the model."""
    seed: int = 0
    """Seed of everything drawn: weights, scores, redraws, data order, augmentation, validation split."""
    epochs: int = 15
    """Passes over the training data."""
    batch_size: int = 64
    """Examples a step."""
    lr: float = 0.3
    """Peak learning rate; it falls to 0 along a cosine."""
    warmup: float = 0.0
    """Epochs over which the learning rate rises from 0 to its peak first."""
    momentum: float = 0.9
    """Momentum of SGD."""
    weight_decay: float = 1e-4
    """Weight decay of SGD."""
    init: str = "signed_constant"
    """Distribution of the weights: signed_constant, kaiming_uniform, kaiming_normal, uniform."""
    validation: float = 0.1
    """Fraction of the training data held out to choose the best epoch; 0: the last epoch is taken."""
    augment: bool = True
    """Shift the training images at random, as is the custom for the data set (CIFAR: mirror them, too)."""
    precision: Precision = "auto"
    """Arithmetic of the layers; auto: bfloat16 where the processor has it natively."""
    device: Device = "auto"
    """Where to compute; auto: a GPU if there is one."""
    threads: int | None = None
    """Threads on a CPU; None: as many as torch takes."""
    deterministic: bool = False
    """On a GPU, use deterministic kernels alone, so that the same run gives the same bytes."""
    out: Path | None = None
    """Folder of the run's records; None: the first free runs/NAME-N."""
    resume: bool = False
    """Go on from the checkpoint in --out, with its options; start afresh where there is none."""

    def check(self) -> None:
        """Raise ArgumentError for a value that no run can have."""
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        _at_least("warmup", self.warmup, 0)
        if not 0 <= self.momentum < 1:
            raise ArgumentError(f"momentum must be in [0, 1), got {self.momentum!r}")
        _at_least("weight_decay", self.weight_decay, 0)
        if self.threads is not None:
            _at_least("threads", self.threads, 1)
        if not 0 < self.lr < float("inf"):
            raise ArgumentError(f"lr must be a finite number greater than 0, got {self.lr!r}")
        if self.warmup > self.epochs:
            raise ArgumentError(f"warmup must be at most epochs, {self.epochs}, got {self.warmup!r}")
        for name, choice, known in (
            ("precision", self.precision, Precision),
            ("device", self.device, Device),
        ):
            if choice not in get_args(known):
                raise unknown(name, choice, get_args(known))
        if self.resume and self.out is None:
            raise ArgumentError("--resume needs --out, the folder of the run to go on with")

    def settings(self) -> dict[str, Any]:
        """What decides the result: every field but the places where a run reads and writes."""
        return {name: value for name, value in asdict(self).items() if name not in _PLACES}

    def to_toml(self) -> str:
        """The file that `from_toml` reads: the settings, and the data folder if one was given."""
        import tomli_w

        settings = {name: NONE if value is None else value for name, value in self.settings().items()}
        values = {"command": self.command, **settings}
        if self.data_dir is not None:
            values["data_dir"] = str(self.data_dir.absolute())
        return tomli_w.dumps(values)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a configuration file.

        Raises RunError where it is missing or no TOML, and what `from_values` raises.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise RunError(f"cannot read the configuration {path}: {error.strerror}") from None
        except ValueError as error:
            raise RunError(f"cannot read the configuration {path}: {error}") from None
        return cls.from_values(values, path)

    @classmethod
    def from_values(cls, values: dict[str, Any], path: Path) -> Self:
        """The configuration of the options found in `path`.

        Raises RunError where they are of another command, ArgumentError for an option that is not known
        or of another type.
        """
        command = values.pop("command", cls.command)
        if command != cls.command:
            raise RunError(f"{path} is of tombola {command}, not of tombola {cls.command}")
        known, types = [field.name for field in fields(cls)], get_type_hints(cls)
        for name, value in values.items():
            if name not in known:
                raise unknown(f"option in {path}:", name, known)
            try:
                values[name] = _typed(value, types[name])
            except TypeError as error:
                raise ArgumentError(f"option {name!r} in {path} must be {error}, got {value!r}") from None
        return cls(**values)

    def completed(self, recorded: Self) -> Self:
        """This configuration with everything left to the machine taken from the recorded one.

        Raises ArgumentError naming what was changed otherwise.
        """
        given, kept = self.settings(), recorded.settings()
        for name in ("precision", "device"):
            if given[name] == "auto":
                given[name] = kept[name]
        if given["threads"] is None:
            given["threads"] = kept["threads"]
        changed = [f"{n} was {kept[n]!r}, now {given[n]!r}" for n in kept if given[n] != kept[n]]
        if changed:
            raise ArgumentError(f"cannot resume {self.out}: {'; '.join(changed)}")
        return replace(self, **given, data_dir=self.data_dir or recorded.data_dir)


@dataclass(frozen=True, kw_only=True)
class SearchConfig(RunConfig):
    """A search for a strong ticket. The defaults suit the handwritten digits."""

    command: ClassVar[str] = "search"
    method: str = "iterand"
    """Search method: iterand or edge-popup."""
    density: float = 0.5
    """Fraction of all weights that the ticket keeps."""
    source_density: float = 1.0
    """Density of the Erdős–Rényi source network searched in; 1 is a dense one."""
    rule: str = "uniform"
    """Layerwise rule of the source's density: uniform, erk, pyramidal or balanced."""
    exact: bool = False
    """Give each tensor of the source exactly its number of edges, rather than draw each by itself."""
    dense_first: bool = False
    """Keep the source's first layer dense; the rule spreads what is left over the others."""
    dense_last: bool = False
    """Keep the source's last layer dense."""
    dense_depthwise: bool = False
    """Keep the source's depthwise convolutions dense."""
    ticket_rule: str | None = None
    """Layerwise rule of the ticket's density; None: the source is thinned evenly."""
    anneal: int = 0
    """Reach the ticket's density from the source's by so many equal factors; 0: at once."""
    anneal_epochs: float | None = None
    """Epochs until annealing has reached the ticket's density; None: half of them all."""
    period: int | None = 30
    """IteRand: steps between redraws of the pruned weights; None: never. The paper has 300 on CIFAR-10 and
    1000 on ImageNet."""
    rate: float = 0.1
    """IteRand: probability with which each pruned weight is redrawn."""
    scope: Literal["layer", "global"] = "layer"
    """One threshold for each layer, or one for the whole network."""
    absolute: bool = False
    """Rank the weights by |score|."""
    score_init: Literal["fan_in", "kaiming_uniform"] = "fan_in"
    """Scores start in U(-b, b) with b = 1/sqrt(fan-in), or b = sqrt(6/fan-in) as in the IteRand paper."""
    bias: bool = False
    """Random, prunable biases instead of none."""
    fan_scaling: bool = False
    """Scale the weights by 1/sqrt(density), so that the ticket keeps the variance of its signal."""

    def check(self) -> None:
        """Raise ArgumentError for a value that no search can have."""
        super().check()
        if self.method not in METHODS:
            raise unknown("method", self.method, METHODS)
        if self.period is not None:
            _at_least("period", self.period, 1)
        if not 0 <= self.rate <= 1:
            raise ArgumentError(f"rate is the probability of a redraw, in [0, 1], got {self.rate!r}")
        _at_least("anneal", self.anneal, 0)
        if self.anneal_epochs is not None and not 0 < self.anneal_epochs <= self.epochs:
            raise ArgumentError(
                f"anneal_epochs must be in (0, {self.epochs}], the run's epochs, got {self.anneal_epochs!r}"
            )
        if self.anneal_epochs is not None and self.anneal == 0:
            raise ArgumentError(
                "anneal_epochs says how long to anneal: give anneal, the number of levels, too"
            )


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """Ordinary training of the weights of the same network: the baseline."""

    command: ClassVar[str] = "train"
    lr: float = 0.01
    """Peak learning rate; it falls to 0 along a cosine."""
    init: str = "kaiming_uniform"
    """Distribution of the weights before training."""


def _at_least(name: str, value: float, least: float) -> None:
    if not least <= value < float("inf"):
        raise ArgumentError(f"{name} must be at least {least} and finite, got {value!r}")


def _typed(value: Any, hint: Any) -> Any:
    """A value out of TOML as the type of its field, or TypeError saying what that is."""
    if isinstance(hint, UnionType):
        return None if value == NONE else _typed(value, get_args(hint)[0])
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise TypeError(" or ".join(get_args(hint)))
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:
        raise TypeError(_WORDS[hint])
    return value
