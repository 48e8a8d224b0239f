"""The training loop: epochs of steps, the best epoch by validation, checkpoints that resume exactly."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
import torch.nn.functional as F

from tombola.data.loader import DatasetLike, Loader
from tombola.errors import ArgumentError, RunError
from tombola.experiments.config import RunConfig
from tombola.experiments.display import Display
from tombola.experiments.evaluation import evaluate
from tombola.experiments.folder import RunFolder
from tombola.experiments.interrupt import Interrupt, Interrupted
from tombola.experiments.learner import Learner
from tombola.experiments.machine import Machine, random_state, set_random_state
from tombola.search.schedule import Cosine

# How many steps go by between two looks at the losses on a GPU, which has to be waited for.
_LOOK_EVERY = 20


class Loop:
    """The state of a run between two steps, and what moves it on.

    `history` holds one row per finished epoch, `best` the learner's state after the epoch that did
    best on the validation split (greater accuracy, then lower loss; without a split the last epoch), of
    those that ended with the density that was asked for.
    The test split is never looked at here.
    """

    def __init__(
        self, config: RunConfig, dataset: DatasetLike, learner: Learner, machine: Machine, folder: RunFolder
    ) -> None:
        self.config, self.dataset, self.learner = config, dataset, learner
        self.machine, self.folder = machine, folder
        self.batches = training_batches(config, dataset, machine, augment=config.augment)
        self.optimizer = torch.optim.SGD(
            learner.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        steps = len(self.batches)
        self.schedule = Cosine(config.lr, config.epochs * steps, round(config.warmup * steps))
        self.plan = learner.plan(config.epochs)
        self.epoch = self.step = self.seen = 0
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, Any] = {}
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
        with Display(len(self.plan), total, done) as display:
            while self.epoch < len(self.plan):
                self._run_epoch(interrupt, display)

    def seconds(self) -> float:
        """Wall-clock time of the run so far, over all its processes."""
        return self.elapsed + time.monotonic() - self._started

    def state_dict(self) -> dict[str, Any]:
        """All of the loop's state: tensors, numbers and strings only."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "seen": self.seen,
            "data": self._fingerprint,
            "history": self.history,
            "best": self.best,
            "elapsed": self.seconds(),
            "losses": self._losses,
            "right": self._right,
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "random": random_state(),
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
        self._losses.copy_(state["losses"])
        self._right.copy_(state["right"])
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        set_random_state(state["random"])

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
            if interrupt.status is not None and self.step < len(self.batches):
                self._stop(interrupt.status)
        self._check_losses(self.step)
        self._end_epoch(display, (self.seen - first) / (time.monotonic() - began))
        if interrupt.status is not None and self.epoch < len(self.plan):
            self._stop(interrupt.status)

    def _train_step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        self._set_rate()
        self.optimizer.zero_grad()
        with self.machine.autocast():
            logits = self.learner.model(x)
        loss = F.cross_entropy(logits.float(), y)
        self._losses[self.step] = loss.detach()
        self._right += (logits.argmax(1) == y).sum()
        if self.machine.device == "cpu" and not math.isfinite(loss.item()):
            self._check_losses(self.step + 1)  # before the optimiser carries it into the scores
        loss.backward()  # type: ignore[no-untyped-call]
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
        self.folder.save_checkpoint(self.state_dict())
        self.folder.write_metrics(self.history)
        left = self.seconds() / self.epoch * (len(self.plan) - self.epoch)
        display.epoch(row, left)

    def _measure(self, rate: float) -> dict[str, Any]:
        validation = self.dataset.validation
        score = (
            evaluate(self.learner.model, self.dataset, validation, self.machine) if len(validation) else None
        )
        if score and not math.isfinite(score.loss):
            self._diverge(f"the validation loss became {score.loss}", self.step - 1)
        row = {
            "epoch": self.epoch + 1,
            "loss": float(self._losses[: self.step].mean()),
            "train_accuracy": self._train_accuracy(),
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
                loss=float(self._losses[self.step - 1]),
                accuracy=self._train_accuracy(),
                rate=rate,
            )

    def _train_accuracy(self) -> float:
        """The fraction of this epoch's examples that were answered rightly when they came."""
        return int(self._right) / self.seen

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

    def _stop(self, status: int) -> None:
        self._check_losses(self.step)
        self._check_trained()
        self.folder.save_checkpoint(self.state_dict())
        raise Interrupted(
            f"interrupted in epoch {self.epoch + 1}, step {self.step}; "
            f"go on with --resume --out {self.folder.path}",
            status,
        )


def training_batches(config: RunConfig, dataset: DatasetLike, machine: Machine, *, augment: bool) -> Loader:
    """The training data in orders drawn from the run's seed, on its device."""
    return dataset.training(
        config.batch_size,
        seed=config.seed,
        augment=augment,
        device=machine.device,
        channels_last=machine.channels_last,
    )
