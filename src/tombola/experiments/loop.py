"""The training loop: epochs of steps, the best epoch by validation, checkpoints that resume exactly."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from tombola.data.loader import WHOLE, DatasetLike, Loader, Share
from tombola.errors import ArgumentError, RunError
from tombola.experiments.config import RunConfig
from tombola.experiments.display import Display
from tombola.experiments.evaluation import answering, evaluate
from tombola.experiments.folder import RunFolder
from tombola.experiments.interrupt import Interrupt, Interrupted
from tombola.experiments.learner import Learner
from tombola.experiments.machine import Machine, random_state, set_random_state
from tombola.experiments.ranks import ALONE, Ranks
from tombola.experiments.synchronised import own_statistics
from tombola.experiments.tensorboard import EventFile
from tombola.search.schedule import Cosine

# How many steps go by between two looks at the losses on a GPU, which has to be waited for.
_LOOK_EVERY = 20


class Loop:
    """The state of a run between two steps, and what moves it on.

    `history` holds one row per finished epoch, `best` the learner's state after the epoch that did
    best on the validation split (greater accuracy, then lower loss; without a split the last epoch), of
    those that ended with the density that was asked for. `events`, where it is set, is told of every epoch.
    The test split is never looked at here. All `ranks` go through the same steps, each on its share of every
    batch; the first of them writes to the folder and reports.
    """

    def __init__(
        self,
        config: RunConfig,
        dataset: DatasetLike,
        learner: Learner,
        machine: Machine,
        folder: RunFolder,
        ranks: Ranks = ALONE,
    ) -> None:
        self.config, self.dataset, self.learner = config, dataset, learner
        self.machine, self.folder, self.ranks = machine, folder, ranks
        self.batches = training_batches(
            config, dataset, machine, learner.model, augment=config.augment, share=ranks.share
        )
        # Of the models here every parameter takes part in every step; of a user's own who knows.
        self._model = ranks.wrap(learner.model, partly_used=":" in config.model)
        self.optimizer = torch.optim.SGD(
            learner.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        steps = len(self.batches)
        self.schedule = Cosine(config.lr, config.epochs * steps, round(config.warmup * steps))
        self.plan = learner.plan(config.epochs)
        self.epoch = self.step = self.seen = 0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {}
        self.events: EventFile | None = None
        self.elapsed = 0.0
        self._started = time.monotonic()
        self._fingerprint = dataset.fingerprint()
        self._losses = torch.zeros(steps, device=machine.device)
        self._right = torch.zeros((), dtype=torch.int64, device=machine.device)

    def run(self, interrupt: Interrupt) -> None:
        """Go on to the end of the last epoch.

        Raises RunError when the loss, or what is trained, is no longer a number: the last good
        checkpoint is then kept. Raises Interrupted on a signal, after a checkpoint.
        """
        total = len(self.plan) * len(self.batches)
        done = self.epoch * len(self.batches) + self.step
        with Display(len(self.plan), total, done, silent=not self.ranks.first) as display:
            while self.epoch < len(self.plan):
                self._run_epoch(interrupt, display)

    def seconds(self) -> float:
        """Wall-clock time of the run so far, over all its processes."""
        return self.elapsed + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        """All of the loop's state, over all processes: tensors, numbers and strings only."""
        random, *others = self.ranks.of_each(random_state())
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seen": self.seen,
            "data": self._fingerprint,
            "history": self.history,
            "best": self.best,
            "elapsed": self.seconds(),
            "losses": self.ranks.total(self._losses),
            "right": self.ranks.total(self._right),
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random,
            "random_of_others": others,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`. Raises RunError where that was made on other data."""
        if state["data"] != self._fingerprint:
            raise RunError(
                f"cannot resume {self.folder.path}: its checkpoint was made on other data than the "
                f"{self.dataset.name} found now (or on another validation split)"
            )
        self.epoch, self.step, self.seen = state["epoch"], state["step"], state["seen"]
        self.history, self.best, self.elapsed = state["history"], state["best"], state["elapsed"]
        if self.ranks.first:  # which holds what has been summed so far, by however many
            self._losses.copy_(state["losses"])
            self._right.copy_(state["right"])
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        drawn = [state["random"], *state.get("random_of_others", [])]
        if self.ranks.share.rank < len(drawn):
            set_random_state(drawn[self.ranks.share.rank])

    def _run_epoch(self, interrupt: Interrupt, display: Display) -> None:
        began, first = time.monotonic(), self.seen
        self.learner.model.train()
        for x, y in self.batches.epoch(self.epoch, start=self.step):
            self._train_step(x, y)
            self.seen += self.batches.size(self.step)
            self.step += 1
            if self._looks():
                self._check_losses(self.step)
                self._show(display, (self.seen - first) / (time.monotonic() - began))
            if self.ranks.alone or self._looks():
                self._stop_if_asked(interrupt, more=self.step < len(self.batches))
        self._check_losses(self.step)
        self.ranks.spread(own_statistics(self.learner.model))
        self._end_epoch(display, (self.seen - first) / (time.monotonic() - began))
        self._stop_if_asked(interrupt, more=self.epoch < len(self.plan))

    def _train_step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self._set_rate()
        self.optimizer.zero_grad()
        with answering(x, self.ranks):
            with self.machine.autocast():
                logits = self._model(x)
            loss = F.cross_entropy(logits.float(), y)
        part = len(y) / self.batches.size(self.step)
        self._losses[self.step] = loss.detach() * part
        self._right += (logits.argmax(1) == y).sum()
        if self.machine.device == "cpu" and not math.isfinite(loss.item()):
            self._check_losses(self.step + 1)  # before the optimiser carries it into the scores
        with answering(x, self.ranks):
            # Gradients are averaged over the processes, whose parts of a batch need not be equal.
            (loss * (part * self.ranks.share.count)).backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        try:
            self.learner.step()
        except ArgumentError as error:
            self._diverge(f"what is trained is no number any more: {error}", self.step)

    def _end_epoch(self, display: Display, rate: float) -> None:
        self._check_trained()
        row = self._measure(rate)
        self.history.append(row)
        self.epoch, self.step, self.seen = self.epoch + 1, 0, 0
        self._right.zero_()
        if self.epoch < len(self.plan) and self.plan[self.epoch] <= self.plan[self.epoch - 1]:
            self.learner.next_round()
        self._save_checkpoint()
        if self.ranks.first:
            self.folder.write_metrics(self.history)
        if self.events:
            self.events.epoch(row)
        left = self.seconds() / self.epoch * (len(self.plan) - self.epoch)
        display.epoch(row, left)

    def _measure(self, rate: float) -> dict[str, Any]:
        validation = self.dataset.validation
        score = (
            evaluate(self.learner.model, self.dataset, validation, self.machine, self.ranks)
            if len(validation)
            else None
        )
        if score and not math.isfinite(score.loss):
            self._diverge(f"the validation loss became {score.loss}", self.step - 1)
        row = {
            "epoch": self.epoch + 1,
            "loss": float(self.ranks.total(self._losses[: self.step]).mean()),
            "train_accuracy": int(self.ranks.total(self._right)) / self.seen,
            "validation_accuracy": score.accuracy if score else None,
            "validation_loss": score.loss if score else None,
            "density": self.learner.density,
            "lr": self.optimizer.param_groups[0]["lr"],
            "examples_per_second": rate,
            "seconds": self.seconds(),
        }
        rank = [score.accuracy, -score.loss] if score else [float(self.epoch)]
        if self.learner.settled and (not self.best or rank > self.best["rank"]):
            self.best = {"epoch": self.epoch + 1, "rank": rank, "learner": self.learner.state_dict()}
        return row

    def _set_rate(self) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(self.plan[self.epoch] * len(self.batches) + self.step)

    def _looks(self) -> bool:
        return self.machine.device == "cpu" or self.step % _LOOK_EVERY == 0

    def _show(self, display: Display, rate: float) -> None:
        if display.live:
            display.step(
                done=self.epoch * len(self.batches) + self.step,
                epoch=self.epoch + 1,
                # This process's own part stands for the others'.
                loss=float(self._losses[self.step - 1]) * self.ranks.share.count,
                accuracy=int(self._right) * self.ranks.share.count / self.seen,
                rate=rate,
            )

    def _check_losses(self, steps: int) -> None:
        bad = torch.nonzero(~torch.isfinite(self._losses[:steps]))
        if len(bad):
            step = int(bad[0])
            self._diverge(f"the loss became {float(self._losses[step])}", step)

    def _check_trained(self) -> None:
        """No checkpoint may hold what the last step has broken: its loss was still a number."""
        buffers = (buffer for buffer in self.learner.model.buffers() if buffer.is_floating_point())
        finite = [torch.isfinite(parameter).all() for parameter in self.learner.parameters()]
        numbers = [~torch.isnan(buffer).any() for buffer in buffers]
        if not bool(torch.stack([*finite, *numbers]).all()):
            self._diverge("what is trained is no number any more", self.step - 1)

    def _diverge(self, what: str, step: int) -> None:
        kept = "the last good checkpoint is kept" if self.folder.latest.exists() else "no checkpoint yet"
        raise RunError(
            f"{what} in epoch {self.epoch + 1}, step {step + 1} ({kept}); "
            f"a run with a lower lr than {self.config.lr:g}, in another folder, may help"
        )

    def _save_checkpoint(self) -> None:
        state = self.state_dict()
        self.ranks.check_agreement(self.learner.model.state_dict())
        if self.ranks.first:
            self.folder.save_checkpoint(state)

    def _stop_if_asked(self, interrupt: Interrupt, *, more: bool) -> None:
        # A signal comes to one process sooner than to another, but all have to stop at the same step.
        status = self.ranks.greatest(interrupt.status or 0)
        if status == 0 or not more:
            return
        self._check_losses(self.step)
        self._check_trained()
        self.ranks.spread(own_statistics(self.learner.model))
        self._save_checkpoint()
        raise Interrupted(
            f"interrupted in epoch {self.epoch + 1}, step {self.step}; "
            f"go on with --resume --out {self.folder.path}",
            status,
        )


def training_batches(
    config: RunConfig,
    dataset: DatasetLike,
    machine: Machine,
    model: nn.Module,
    *,
    augment: bool,
    share: Share = WHOLE,
) -> Loader:
    """The training data for `model` in orders drawn from the run's seed, on its device."""
    return dataset.training(
        config.batch_size,
        seed=config.seed,
        augment=augment,
        device=machine.device,
        channels_last=machine.trains_channels_last(model),
        share=share,
    )
