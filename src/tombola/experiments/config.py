"""The configuration of a run, declared once: flags, help and files follow from these dataclasses.

What every run has is here; `search_config.py` and `train_config.py` add what these two have.

No torch here, so that `tombola --help` need not wait for it.
"""

from __future__ import annotations

import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from tombola.errors import ArgumentError, RunError, unknown

# What says where, or by how many processes, a run reads and writes, but not what it computes.
_PLACES = ("data_dir", "workers", "out", "resume", "tensorboard")
_MOST = 1 << 1023  # float holds every whole number below it, nearly
NONE = "none"  # TOML has no word for None
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}

MOST_THREADS = 1 << 16
"""More than any machine's."""

Precision = Literal["auto", "float32", "bfloat16"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run has: data, model, optimiser, machine."""

    command: ClassVar[str] = "run"
    data: str = "digits"
    """Data set: digits, cifar10, cifar100, tiny-imagenet, imagenet, a table (iris, wine, breast-cancer; take
    --model mlp), or the path of a folder of parquet files or of images."""
    data_dir: Path | None = None
    """Folder with train.parquet, or its parent; None: $TOMBOLA_DATA, then the Hugging Face hub."""
    image_size: int = 224
    """Pixels, each way, of what a model gets of images that are read as they are needed: imagenet, and
    folders of many images, or of several sizes."""
    workers: int | None = None
    """Processes that decode such images; None: one less than the cores."""
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
    tensorboard: bool = False
    """Write event files for TensorBoard in --out, too, in its folder tensorboard; --resume goes on with
    them."""

    def check(self) -> None:
        """Raise ArgumentError for a value that no run can have."""
        from tombola.source.init import DISTRIBUTIONS  # it imports numpy, which `--help` need not wait for

        at_least("epochs", self.epochs, 1)
        at_least("batch_size", self.batch_size, 1)
        at_least("warmup", self.warmup, 0)
        if not 0 <= self.momentum < 1:
            raise ArgumentError(f"momentum must be in [0, 1), got {self.momentum!r}")
        at_least("weight_decay", self.weight_decay, 0)
        if not 0 <= self.validation < 1:
            raise ArgumentError(f"validation is the fraction held out, in [0, 1), got {self.validation!r}")
        if self.threads is not None:
            at_least("threads", self.threads, 1)
            if self.threads > MOST_THREADS:
                raise ArgumentError(f"threads must be at most {MOST_THREADS}, got {self.threads!r}")
        at_least("image_size", self.image_size, 1)
        if not 0 < self.width < float("inf"):
            raise ArgumentError(f"width must be a finite number above 0, got {self.width!r}")
        if self.init not in DISTRIBUTIONS:
            raise unknown("init", self.init, DISTRIBUTIONS)
        if self.workers is not None:
            at_least("workers", self.workers, 0)
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

    def idle_options(self, steps: int) -> list[str]:
        """A line for each option that was given and changes nothing in this run, of `steps` updates an epoch:
        nothing that a run cannot have, but hardly what was meant.
        """
        return []

    def settings(self) -> dict[str, Any]:
        """What decides the result: every field but the places where a run reads and writes."""
        return {name: value for name, value in asdict(self).items() if name not in _PLACES}

    def to_toml(self) -> str:
        """The file that `from_toml` reads: the settings, and the data folder if one was given."""
        import tomli_w

        settings = {name: NONE if value is None else value for name, value in self.settings().items()}
        paths = {name: str(value) for name, value in settings.items() if isinstance(value, Path)}
        values = {"command": self.command, **settings, **paths}
        if self.data_dir is not None:
            values["data_dir"] = str(self.data_dir.absolute())
        return tomli_w.dumps(values)

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a configuration file.

        Raises RunError where it is missing or no TOML, OSError where it may not be read, and what
        `from_values` raises.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise RunError(f"cannot read the configuration {path}: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
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
                raise ArgumentError(f"option {name!r} in {path} must be {error}, got {value!r:.80}") from None
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


def at_least(name: str, value: float, least: float) -> None:
    """Raise ArgumentError unless `value` is a finite number of at least `least`."""
    if not least <= value < float("inf"):
        raise ArgumentError(f"{name} must be at least {least} and finite, got {value!r}")


def _typed(value: Any, hint: Any) -> Any:
    """A value out of TOML as the type of its field, or TypeError saying what that is."""
    if get_origin(hint) in (UnionType, Union):
        if value == NONE and NoneType in get_args(hint):
            return None
        return _of_one(value, [arg for arg in get_args(hint) if arg is not NoneType])
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise TypeError(" or ".join(get_args(hint)))
        return value
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and type(value) is int and abs(value) < _MOST:
        return float(value)
    if type(value) is not hint:
        raise TypeError(_WORDS[hint])
    return value


def _of_one(value: Any, hints: list[Any]) -> Any:
    wanted = []
    for hint in hints:
        try:
            return _typed(value, hint)
        except TypeError as error:
            wanted.append(str(error))
    raise TypeError(" or ".join(wanted))
