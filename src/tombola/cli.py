"""The command `tombola`: one function per subcommand.

torch is imported by the commands that need it, so help and reading a ticket start quickly.
Results go to standard output, progress and errors to standard error. Exit status: 0 done, 1 a check
failed, 2 bad usage or input, 3 a fault of the environment, 75 or 130 stopped by a signal after a
checkpoint.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from tombola import ticket as tickets  # by its package, which imports it (and numpy) when it is used
from tombola._version import __version__
from tombola.cli_bounds import bounds
from tombola.cli_construct import construct
from tombola.cli_output import (
    mute,
    one_line,
    open_streams,
    print_json,
    print_result,
    print_ticket,
)
from tombola.cli_report import report
from tombola.cli_status import FAILED, FAULT, UNEXPECTED, explain, rank, torch_needed
from tombola.cli_sweep import sweep
from tombola.errors import ArgumentError, ModelError, TicketError
from tombola.experiments.config import Device, Precision, RunConfig
from tombola.experiments.interrupt import AT_ONCE, SWEEP_AT_ONCE, exit_on_signals, settle
from tombola.experiments.repeat import read_config
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.train_config import TrainConfig
from tombola.export.formats import Format
from tombola.ticket.limits import MAX_WEIGHTS

TicketPath = Annotated[Path, tyro.conf.Positional]
Json = Annotated[bool, tyro.conf.FlagCreatePairsOff]


def search(run: SearchConfig, config: Path | None = None, json: Json = False) -> int:
    """Find a strong ticket: train scores over frozen random weights, keep the best, save the ticket.

    Args:
        run: The run.
        config: A config.toml, a ticket, or a name such as imagenet-resnet50 or cifar10-conv6 (the settings of
            the IteRand paper), to take all options from; those given here count more.
        json: Print the result as JSON.
    """
    del config  # read before the other options are, see _with_defaults
    return _run(run, json)


def train(run: TrainConfig, config: Path | None = None, json: Json = False) -> int:
    """Train the weights of the same network in the ordinary way, the baseline, or under a mask (--method).

    Args:
        run: The run.
        config: A config.toml, or a name such as imagenet-resnet18 or cifar10-conv6 (the settings of the
            IteRand paper), to take all options from; those given here count more.
        json: Print the result as JSON.
    """
    del config  # read before the other options are, see _with_defaults
    return _run(run, json)


def evaluate(
    ticket: TicketPath,
    data: str | None = None,
    data_dir: Path | None = None,
    model: str | None = None,
    width: float | None = None,
    image_size: int | None = None,
    workers: int | None = None,
    precision: Precision = "auto",
    device: Device = "auto",
    max_weights: int = MAX_WEIGHTS,
    json: Json = False,
) -> int:
    """Rebuild a ticket's network and measure it on a test set.

    Args:
        ticket: The ticket file.
        data: Data set; None: the one that the ticket was found on.
        data_dir: Folder with train.parquet, or its parent.
        model: Architecture; None: the ticket's. One of your own, module:function, must be named here,
            for a ticket is never followed to code.
        width: Width of the architecture; None: the ticket's.
        image_size: Pixels, each way, of images that are cropped as they are read; None: the ticket's.
        workers: Processes that decode such images; None: one less than the cores.
        precision: Arithmetic of the layers; auto: the one that the ticket was found with.
        device: Where to compute; auto: a GPU if there is one.
        max_weights: Refuse a ticket of more weights, before they take any memory.
        json: Print the result as JSON.
    """
    loaded = tickets.Ticket.load(ticket, max_weights)
    with torch_needed("evaluating"):
        from tombola.experiments.measure import measure
    result = measure(
        loaded,
        data=data,
        data_dir=data_dir,
        model=model,
        width=width,
        precision=precision,
        device=device,
        image_size=image_size,
        workers=workers,
    )
    print_json(result) if json else print_result(result)
    return 0


def inspect(ticket: TicketPath, max_weights: int = MAX_WEIGHTS, json: Json = False) -> int:
    """Show what a ticket holds: tensors, densities, bits, metadata. Needs no torch.

    Args:
        ticket: The ticket file.
        max_weights: Refuse a ticket of more weights, before they take any memory.
        json: Print as JSON.
    """
    print_ticket(tickets.Ticket.load(ticket, max_weights), as_json=json)
    return 0


def verify(
    ticket: TicketPath, digest: str | None = None, max_weights: int = MAX_WEIGHTS, json: Json = False
) -> int:
    """Rebuild a ticket's network and compare its digest. Exit status 1 if anything is wrong.

    Args:
        ticket: The ticket file.
        digest: Digest received over a trusted channel, to compare with as well.
        max_weights: Refuse a ticket of more weights, before they take any memory.
        json: Print as JSON.
    """
    try:
        loaded = tickets.Ticket.load(ticket, max_weights)
        loaded.verify(digest)
    except TicketError as error:
        if json:
            print_json({"verified": False, "error": str(error)})
        _complain(error)
        return FAILED
    if json:
        print_json({"verified": True, "digest": loaded.digest})
    else:
        print_result({"verified": str(ticket), "digest": loaded.digest})
    return 0


def export(
    ticket: TicketPath,
    out: Path,
    to: Format = "auto",
    model: str | None = None,
    width: float | None = None,
    classes: int | None = None,
    input_shape: str | None = None,
    max_weights: int = MAX_WEIGHTS,
    json: Json = False,
) -> int:
    """Write a ticket's network for other software, which needs nothing of this.

    Args:
        ticket: The ticket file.
        out: The file to write.
        to: safetensors: the dense state dict, which needs no torch. onnx: the model, compared with torch.
            csr, ternary: a torch state dict of sparse matrices, or of signs and scales. auto: what the
            name of the file says.
        model: Architecture, for onnx; None: the ticket's. One of your own, module:function, must be named
            here, for a ticket is never followed to code.
        width: Width of the architecture, for onnx; None: the ticket's.
        classes: Number of classes, for onnx; None: the ticket's.
        input_shape: Sizes of one input, such as 3,32,32, for onnx; None: the ticket's images.
        max_weights: Refuse a ticket of more weights, before they take any memory.
        json: Print what was written as JSON.
    """
    loaded = tickets.Ticket.load(ticket, max_weights)
    if out.exists() and out.samefile(ticket):
        raise ArgumentError(f"--out {out} is the ticket itself")
    with torch_needed("exporting to any format but safetensors"):
        from tombola.export.formats import write

        told = write(loaded, out, to, model=model, width=width, classes=classes, input_shape=input_shape)
    print_json(told) if json else print_result(told)
    return 0


COMMANDS: dict[str, Callable[..., int]] = {
    "search": search,
    "train": train,
    "evaluate": evaluate,
    "inspect": inspect,
    "verify": verify,
    "export": export,
    "construct": construct,
    "bounds": bounds,
    "sweep": sweep,
    "report": report,
}
RUNS = {"search": AT_ONCE, "train": AT_ONCE, "sweep": SWEEP_AT_ONCE}
"""The commands that a signal ends with a status of its own, and what is said then."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status; never lets a traceback out.

    With TOMBOLA_TRACEBACK set, an unexpected error is raised as it is, and so is a model's.
    """
    open_streams()
    given = list(sys.argv[1:] if arguments is None else arguments)
    # A program that calls this function keeps its own handlers.
    interruptible = arguments is None and given[:1] != [] and given[0] in RUNS
    if interruptible:
        exit_on_signals(_complain, RUNS[given[0]])
    try:
        return _status(given)
    finally:
        if interruptible:
            settle()


def _status(arguments: list[str]) -> int:
    try:
        with warnings.catch_warnings():
            # One line, as everything else that the command says, and no lines of code.
            warnings.showwarning = lambda message, *_: None if rank() else _complain(f"warning: {message}")
            status = _dispatch(arguments)
        sys.stdout.flush()  # a full disk shows here, not when the interpreter ends
        return status
    except BrokenPipeError:
        mute()  # `| head` has seen enough
        return FAULT
    except (Exception, KeyboardInterrupt) as error:
        status, message = explain(error)
        if os.environ.get("TOMBOLA_TRACEBACK") and (status == UNEXPECTED or isinstance(error, ModelError)):
            raise
        if isinstance(error, OSError):
            mute()
        _complain(message)
        return FAULT if status == UNEXPECTED else status


def _dispatch(arguments: list[str]) -> int:
    if arguments == ["--version"]:
        print(f"tombola {__version__}")  # noqa: T201
        return 0
    status: int = tyro.extras.subcommand_cli_from_dict(
        _with_defaults(arguments),
        prog="tombola",
        description="A neural network out of a seed and a mask: strong lottery tickets, found and verified. "
        "tombola --version says which version this is.",
        args=arguments,
        config=(tyro.conf.OmitArgPrefixes,),
    )
    return status


def _with_defaults(arguments: list[str]) -> dict[str, Callable[..., int]]:
    """The commands, with the options of a `--config` file, or of the run that `--resume` goes on with,
    in the place of their defaults.
    """
    options = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    options.add_argument("command", nargs="?")
    for name in ("--config", "--out", "--model"):
        options.add_argument(name, type=Path, nargs="?")  # one without a value is left to the parser proper
    options.add_argument("--resume", action="store_true")
    try:
        known, _ = options.parse_known_args(arguments)
    except argparse.ArgumentError:
        return COMMANDS  # whose parser says it better
    file = known.config
    if file is None and known.resume and known.out is not None and (known.out / "config.toml").exists():
        file = known.out / "config.toml"
    kinds: dict[str, type[RunConfig]] = {"search": SearchConfig, "train": TrainConfig}
    if file is None or known.command not in kinds:
        return COMMANDS
    run = read_config(kinds[known.command], file)
    if known.config is not None and ":" in run.model and known.model is None:
        # Files that are handed around lead to no import; a run's own folder is its owner's.
        raise ArgumentError(f"{file} asks to import {run.model!r:.80}: if you trust it, give it as --model")
    return {**COMMANDS, known.command: partial(COMMANDS[known.command], run=run)}


def _run(config: RunConfig, json: bool) -> int:
    with torch_needed("searching and training"):
        from tombola.experiments.run import run
    outcome = run(config)
    if not outcome.first:
        return 0
    print_json(outcome.result) if json else print_result({**outcome.result, "folder": str(outcome.folder)})
    return 0


def _complain(error: object) -> None:
    where = f"rank {number}: " if (number := rank()) else ""
    print(f"tombola: {where}{one_line(str(error))}", file=sys.stderr)  # noqa: T201
