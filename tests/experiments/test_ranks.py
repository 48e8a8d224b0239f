"""Runs of several processes: they agree, write once, and find what one process finds."""

from __future__ import annotations

import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
import torch.distributed as dist
from rank_helpers import Pair, command, in_group, stopped
from torch import nn

from commands import STEPS, TINY, Ended, everything_in, finished, metrics_of, result_of, ticket_of, tombola
from tombola import ArgumentError, RunError, data, models
from tombola.experiments.evaluation import evaluate
from tombola.experiments.loop import Loop
from tombola.experiments.machine import Machine
from tombola.experiments.ranks import Ranks, joined

# Redraws, batch normalisation, and batches of which one process gets more than the other.
RESNET = (*TINY, "--model", "resnet18", "--width", "0.06", "--batch-size", "129", "--period", "3")


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def searched_and_watched(out: str, *options: str) -> tuple[Ended, list[str]]:
    """The command, and the digest of the ticket at every checkpoint."""
    digests = []
    save = Loop._save_checkpoint

    def watched(loop: Loop) -> None:
        digests.append(loop.learner.search.ticket().digest)  # type: ignore[attr-defined]
        save(loop)

    with mock.patch.object(Loop, "_save_checkpoint", watched):
        ended = tombola("search", *options, "--out", out)
    return ended, digests


def test_two_processes_find_the_same_ticket_at_every_checkpoint_and_write_once(
    pair: Pair, tmp_path: Path
) -> None:
    (first, digests), (second, others) = pair(
        searched_and_watched, str(tmp_path / "run"), *RESNET, "--tensorboard"
    )
    assert (first.status, second.status) == (0, 0)
    assert len(digests) == 2
    assert digests == others
    assert len(set(digests)) == 2
    assert ticket_of(tmp_path / "run").digest in digests
    assert "epoch   2/2" in first.err
    assert first.out
    assert (second.out, second.err) == ("", "")
    records = {"config.toml", "metrics.jsonl", "result.json", "layers.json", "examples.npz"}
    names = {*records, "ticket.tombola", ".lock"}
    assert {path.name for path in (tmp_path / "run").iterdir()} == {*names, "checkpoint", "tensorboard"}
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1


def test_two_processes_find_what_one_finds(pair: Pair, tmp_path: Path) -> None:
    options = ("--model", "conv2", "--width", "0.2", "--batch-size", "129", "--period", "3")
    ends = pair(command, "search", *TINY, *options, "--out", str(tmp_path / "two"))
    assert [ended.status for ended in ends] == [0, 0]
    one = finished("search", *options)
    for row, other in zip(metrics_of(tmp_path / "two"), metrics_of(one), strict=True):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-3)
        assert row["train_accuracy"] == pytest.approx(other["train_accuracy"], abs=0.01)
        assert row["validation_accuracy"] == pytest.approx(other["validation_accuracy"], abs=0.02)
    kept, other_kept = (ticket_of(folder).mask for folder in (tmp_path / "two", one))
    # Sums are taken in another order, which may turn a weight at the threshold.
    same = sum(int((kept[name] == other_kept[name]).sum()) for name in kept)
    assert same / kept.total > 0.999
    accuracies = [result_of(folder)["test_accuracy"] for folder in (tmp_path / "two", one)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.02)


@pytest.mark.parametrize("method", ["dense", "rigl", "synflow"])
def test_weights_are_trained_alike_in_two_processes(method: str, pair: Pair, tmp_path: Path) -> None:
    # Batch normalisation without a mask only: where weights are chosen, one turned at a threshold is much.
    resnet = ("--model", "resnet18", "--width", "0.06", "--batch-size", "129", "--lr", "0.05")
    sparse = ("--method", method, "--density", "0.3", *(("--period", "5") if method == "rigl" else ()))
    options = resnet if method == "dense" else sparse
    ends = pair(command, "train", *TINY, *options, "--epochs", "1", "--out", str(tmp_path / "two"))
    assert [ended.status for ended in ends] == [0, 0], ends
    (row,), (other,) = metrics_of(tmp_path / "two"), metrics_of(finished("train", *options, "--epochs", "1"))
    assert row["loss"] == pytest.approx(other["loss"], rel=2e-3)


def perturbed(out: str) -> Ended:
    """The command, in the second process of which a score moves by a trifle in the second epoch."""
    step = Loop._train_step

    def train_step(loop: Loop, x: torch.Tensor, y: torch.Tensor) -> None:
        step(loop, x, y)
        if (loop.epoch, loop.step) == (1, 3) and not loop.ranks.first:
            with torch.no_grad():
                next(iter(loop.learner.parameters())).view(-1)[0].add_(1e-3)

    with mock.patch.object(Loop, "_train_step", train_step):
        return tombola("search", *TINY, "--out", out)


def test_processes_that_differ_are_named_before_anything_is_written(pair: Pair, tmp_path: Path) -> None:
    ends = pair(perturbed, str(tmp_path / "run"))
    for ended in ends:
        assert ended.status == 2
        (line,) = (line for line in ended.err.splitlines() if "do not agree" in line)
        assert "no checkpoint was written: other than rank 0 rank 1 on " in line
        assert "scores" in line
    assert ends[1].err.startswith("tombola: rank 1: the processes do not agree")
    assert len(metrics_of(tmp_path / "run")) == 1
    state = torch.load(tmp_path / "run" / "checkpoint" / "latest.pt", weights_only=True)
    assert (state["epoch"], state["step"]) == (1, 0)


def test_a_signal_to_one_stops_all_at_the_same_step_and_the_run_goes_on_exactly(
    pair: Pair, tmp_path: Path
) -> None:
    search = ("search", *RESNET, "--out")
    assert [e.status for e in pair(command, *search, str(tmp_path / "whole"))] == [0, 0]
    ends = pair(stopped, 13, *search, str(tmp_path / "run"))
    assert [ended.status for ended in ends] == [75, 75]
    assert "interrupted in epoch 2, step 3" in ends[0].err
    # With as many processes to the bit, with another number of them at all.
    state = everything_in(tmp_path / "run")
    assert [e.status for e in pair(command, *search, str(tmp_path / "run"), "--resume")] == [0, 0]
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    ticket = (tmp_path / "run" / "ticket.tombola").read_bytes()
    assert ticket == (tmp_path / "whole" / "ticket.tombola").read_bytes()

    alone = tmp_path / "alone"
    for name, (content, _) in state.items():
        (alone / name).parent.mkdir(parents=True, exist_ok=True)
        (alone / name).write_bytes(content)
    assert tombola(*search, alone, "--resume").status == 0
    losses, others = ([row["loss"] for row in metrics_of(run)] for run in (alone, tmp_path / "whole"))
    assert losses == pytest.approx(others, rel=1e-3)


def test_a_finished_run_is_finished_for_all(pair: Pair, tmp_path: Path) -> None:
    assert pair(command, "search", *TINY, "--out", str(tmp_path))[0].status == 0
    before = everything_in(tmp_path)
    first, second = pair(command, "search", *TINY, "--out", str(tmp_path), "--resume")
    assert (first.status, second.status) == (0, 0)
    assert first.out
    assert not second.out
    assert everything_in(tmp_path) == before


def scored(ranks: Ranks) -> tuple[float, float, list[int]]:
    torch.manual_seed(0)
    dataset = data.load("digits")
    model = models.build("mlp", width=0.1, in_channels=1, classes=10, image_size=8)
    score = evaluate(model, dataset, dataset.test, Machine("cpu", "float32", True), ranks)
    return score.accuracy, score.loss, score.answers.tolist()


def test_each_process_answers_its_share_and_all_have_the_score(pair: Pair) -> None:
    first, second = pair(in_group, scored)
    accuracy, loss, answers = scored(Ranks())
    assert first == second
    assert first[0] == accuracy
    assert first[2] == answers
    assert first[1] == pytest.approx(loss, rel=1e-5)


def drawn(ranks: Ranks) -> list[Any]:
    return [
        ranks.from_first(lambda: ranks.share.rank + 7),
        ranks.of_each(ranks.share.rank),
        ranks.greatest(3 - ranks.share.rank),
        ranks.total(torch.tensor([1.0, float(ranks.share.rank)])).tolist(),
        ranks.first,
        ranks.alone,
    ]


def test_what_processes_say_to_each_other(pair: Pair) -> None:
    first, second = pair(in_group, drawn)
    assert first == [7, [0, 1], 3, [2.0, 1.0], True, False]
    assert second == [7, [0, 1], 3, [2.0, 1.0], False, False]
    assert drawn(Ranks()) == [7, [0], 3, [1.0, 0.0], True, True]


def test_more_processes_than_examples_of_a_batch_are_refused(pair: Pair, tmp_path: Path) -> None:
    ends = pair(command, "search", *TINY, "--batch-size", "1", "--out", str(tmp_path / "run"))
    assert [ended.status for ended in ends] == [2, 2]
    assert "a batch of 1 examples cannot be shared by 2 processes" in ends[0].err
    assert not (tmp_path / "run").exists() or not everything_in(tmp_path / "run").keys() - {".lock"}


def lost(ranks: Ranks) -> None:
    if ranks.first:
        raise RuntimeError("[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1")


def lost_said(ranks_of: str) -> str:
    try:
        in_group(lost)
    except RunError as error:
        return str(error)
    return ""


def test_a_lost_process_is_one_line(pair: Pair) -> None:
    assert (
        pair(lost_said, "")[0]
        == "another process of the run has ended, or cannot be reached; see its own message"
    )


def held_when_the_group_ends(why: str) -> bool:
    """Whether a run that failed still holds its wrapped model when its process leaves the group."""
    held: list[bool] = []
    leave = dist.destroy_process_group

    def run(ranks: Ranks) -> None:
        try:
            fail(ranks)
        except ValueError as error:
            raise RunError(why) from error

    def fail(ranks: Ranks) -> None:
        wrapped = ranks.wrap(nn.Linear(2, 2))
        seen.append(weakref.ref(wrapped))
        raise ValueError

    def destroy() -> None:
        held.append(seen[0]() is not None)
        leave()

    seen: list[weakref.ref[nn.Module]] = []
    with (
        mock.patch.object(dist, "destroy_process_group", destroy),
        pytest.raises(RunError, match=why),
        joined() as ranks,
    ):
        run(ranks)
    return held[0]


def test_what_failed_holds_nothing_of_the_group_when_its_process_leaves_it(pair: Pair) -> None:
    assert pair(held_when_the_group_ends, "out of luck") == [False, False]


def test_variables_that_are_no_numbers_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(ArgumentError, match="RANK must be a number, got 'x'"), joined():
        pass


def test_torchrun_starts_a_search(tmp_path: Path) -> None:
    given = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*given, "-m", "tombola", "search", *TINY, "--out", "run", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"ticket_bytes"') == 1
    assert done.stderr.count("epoch   1/2") == 1
    assert len(metrics_of(tmp_path / "run")) == 2
    assert ticket_of(tmp_path / "run").digest == result_of(tmp_path / "run")["digest"]
    assert STEPS == 20
