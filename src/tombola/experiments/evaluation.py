"""How well a model answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from tombola.data.loader import WHOLE, DatasetLike, SplitLike
from tombola.errors import ModelError, TombolaError, describe
from tombola.experiments.machine import Machine
from tombola.experiments.ranks import ALONE, Ranks
from tombola.experiments.synchronised import needs_whole_batches

EVALUATION_BATCH = 500
# In errors of a machine for which torch has no type of its own, or not in every version.
_MACHINE = ("DefaultCPUAllocator", "CUDA error", "cuDNN error", "CUBLAS_STATUS", "CUDNN_STATUS", "HIP error")


@dataclass(frozen=True)
class Score:
    """Fraction answered rightly, mean cross-entropy, and the answer to every example."""

    accuracy: float
    loss: float
    answers: torch.Tensor


@contextmanager
def answering(x: torch.Tensor, ranks: Ranks = ALONE) -> Iterator[None]:
    """Raise ModelError for whatever goes wrong between inputs and loss: it is the model that is at fault,
    and not the machine, unless memory is short or a file cannot be had. Among several `ranks` it need not be.
    """
    try:
        yield
    except (TombolaError, OSError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        machines = isinstance(error, RuntimeError) and any(word in str(error) for word in _MACHINE)
        if machines or not ranks.alone:
            raise
        raise ModelError(
            f"the model cannot answer inputs of shape {tuple(x.shape)}: {describe(error)}"
        ) from error


@torch.no_grad()
def evaluate(
    model: nn.Module, dataset: DatasetLike, split: SplitLike, machine: Machine, ranks: Ranks = ALONE
) -> Score:
    """The score of `model` on a split that holds at least one example, in evaluation mode. Each of `ranks`
    answers its share, and gets the whole score. Where answers depend on the batch, each answers all of it.
    """
    share = WHOLE if needs_whole_batches(model) else ranks.share
    batches = dataset.evaluation(
        split,
        EVALUATION_BATCH,
        device=machine.device,
        channels_last=machine.channels_last,
        share=share,
    )
    training = model.training
    model.eval()
    answers = torch.zeros(len(split), dtype=torch.int64)
    loss, first = torch.zeros((), device=machine.device), 0
    for step, (x, y) in enumerate(batches.epoch(0)):
        here, first = share.of(first, first + batches.size(step)), first + batches.size(step)
        if len(y):
            with answering(x, ranks):
                with machine.autocast():
                    logits = model(x)
                loss += F.cross_entropy(logits.float(), y, reduction="sum")
            answers[here] = logits.argmax(1).cpu()
    model.train(training)
    if share is WHOLE:
        answers, loss = ranks.from_first(lambda: (answers, loss.cpu()))
    else:
        answers, loss = ranks.total(answers), ranks.total(loss)
    right = int((answers == split.labels.cpu()).sum())
    return Score(right / len(split), float(loss) / len(split), answers)
