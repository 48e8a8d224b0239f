"""Models and methods of which each process's part could be another thing than a part of the whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from rank_helpers import Pair, command, in_group, stopped
from rank_models import OwnNorm, normalised
from torch import nn

from commands import TINY, finished, metrics_of, ticket_of, tombola
from tombola import data
from tombola.experiments.evaluation import EVALUATION_BATCH, evaluate
from tombola.experiments.loop import Loop
from tombola.experiments.machine import Machine
from tombola.experiments.ranks import Ranks
from tombola.experiments.synchronised import synchronise_batch_norm
from tombola.mask import Mask


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_parameters_that_take_no_part_are_left_alone(pair: Pair, tmp_path: Path) -> None:
    options = ("--model", "rank_models:partly_used", "--epochs", "1")
    ends = pair(command, "train", *TINY, *options, "--out", str(tmp_path / "two"))
    assert [ended.status for ended in ends] == [0, 0], ends
    (row,), (other,) = metrics_of(tmp_path / "two"), metrics_of(finished("train", *options))
    assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_a_normalisation_of_ones_own_keeps_the_statistics_of_the_first(pair: Pair, tmp_path: Path) -> None:
    search = ("search", *TINY, "--model", "rank_models:own_norm", "--out")
    assert [e.status for e in pair(command, *search, str(tmp_path / "whole"))] == [0, 0]
    assert [e.status for e in pair(stopped, 13, *search, str(tmp_path / "run"))] == [75, 75]
    assert [e.status for e in pair(command, *search, str(tmp_path / "run"), "--resume")] == [0, 0]
    ticket = (tmp_path / "run" / "ticket.tombola").read_bytes()
    assert ticket == (tmp_path / "whole" / "ticket.tombola").read_bytes()


def test_grasp_takes_second_derivatives_over_the_whole_batch(pair: Pair, tmp_path: Path) -> None:
    resnet = ("--model", "resnet18", "--width", "0.06", "--lr", "0.01", "--epochs", "1")
    options = (*resnet, "--method", "grasp", "--density", "0.3")
    ends = pair(command, "train", *TINY, *options, "--out", str(tmp_path / "two"))
    assert [ended.status for ended in ends] == [0, 0], ends
    folders = (tmp_path / "two", finished("train", *options))
    kept, other = (Mask.load(folder / "mask.safetensors") for folder in folders)
    same = sum(int((kept[name] == other[name]).sum()) for name in kept)
    assert same / kept.total > 0.999


def test_rigl_stopped_between_the_steps_of_a_sum_goes_on_exactly(pair: Pair, tmp_path: Path) -> None:
    rigl = ("--method", "rigl", "--density", "0.3", "--period", "8", "--accumulate", "6", "--update-end", "1")
    train = ("train", *TINY, *rigl, "--batch-size", "65", "--lr", "0.05", "--out")
    assert [e.status for e in pair(command, *train, str(tmp_path / "whole"))] == [0, 0]
    assert [e.status for e in pair(stopped, 13, *train, str(tmp_path / "run"))] == [75, 75]
    assert [e.status for e in pair(command, *train, str(tmp_path / "run"), "--resume")] == [0, 0]
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    for name in ("mask.safetensors", "model.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def dropped(*arguments: str) -> tuple[int, list[list[bool]]]:
    """The command's status, and what dropout left of ones, in this process, after every step."""
    drawn = []
    step = Loop._train_step

    def train_step(loop: Loop, x: torch.Tensor, y: torch.Tensor) -> None:
        state = torch.get_rng_state()
        drawn.append(nn.functional.dropout(torch.ones(32)).bool().tolist())
        torch.set_rng_state(state)
        step(loop, x, y)

    with mock.patch.object(Loop, "_train_step", train_step):
        return tombola(*arguments).status, drawn


def test_dropout_is_drawn_by_each_for_itself_and_goes_on_exactly(pair: Pair, tmp_path: Path) -> None:
    search = ("search", *TINY, "--model", "rank_models:dropout", "--out")
    (status, first), (_, second) = pair(dropped, *search, str(tmp_path / "whole"))
    assert status == 0
    assert all(mine != other for mine, other in zip(first, second, strict=True))
    assert [e.status for e in pair(stopped, 13, *search, str(tmp_path / "run"))] == [75, 75]
    resumed = pair(dropped, *search, str(tmp_path / "run"), "--resume")
    assert resumed == [(0, first[13:]), (0, second[13:])]
    assert metrics_of(tmp_path / "run") == metrics_of(tmp_path / "whole")
    assert ticket_of(tmp_path / "run") == ticket_of(tmp_path / "whole")


def scored_by_batch(ranks: Ranks, kind: type[nn.BatchNorm2d]) -> tuple[float, float, list[int]]:
    """The score of a model that takes the statistics of the batch in evaluation, too; the last batch is of
    one example.
    """
    torch.manual_seed(0)
    model = normalised(1, kind(8, track_running_stats=False))
    if not ranks.alone:
        synchronise_batch_norm(model)
    dataset = data.load("digits")
    images = data.Split(
        dataset.train.images[: EVALUATION_BATCH + 1], dataset.train.labels[: EVALUATION_BATCH + 1]
    )
    score = evaluate(model, dataset, images, Machine("cpu", "float32", True), ranks)
    ranks.of_each(0)  # whatever comes next finds all processes at the same place
    return score.accuracy, score.loss, score.answers.tolist()


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, OwnNorm])
def test_answers_that_depend_on_the_batch_are_those_of_whole_batches(
    pair: Pair, kind: type[nn.BatchNorm2d]
) -> None:
    found: list[Any] = pair(in_group, scored_by_batch, kind)
    assert found == [scored_by_batch(Ranks(), kind)] * 2
