"""The end of a run: the best epoch measured on the test split, the ticket or the weights, the records."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import safetensors.torch

from tombola._version import __version__
from tombola.experiments.evaluation import Score, evaluate
from tombola.experiments.layers import write_layers
from tombola.experiments.learner import DenseLearner, SearchLearner
from tombola.experiments.loop import Loop
from tombola.experiments.sparse_learner import SparseLearner
from tombola.experiments.train_config import TrainConfig
from tombola.files import write_atomically
from tombola.rng import Stream

EXAMPLES = 24


def finish(loop: Loop) -> dict[str, Any]:
    """Take the best epoch, measure it on the test split, once, and write the run's results, which every
    process gets.
    """
    loop.learner.load_state_dict(loop.best["learner"])
    score = evaluate(loop.learner.model, loop.dataset, loop.dataset.test, loop.machine, loop.ranks)
    loop.ranks.check_agreement(loop.learner.model.state_dict())
    return loop.ranks.from_first(lambda: _write(loop, score))


def _write(loop: Loop, score: Score) -> dict[str, Any]:
    best = loop.history[loop.best["epoch"] - 1]
    result: dict[str, Any] = {
        "test_accuracy": score.accuracy,
        "validation_accuracy": best["validation_accuracy"],
        "best_epoch": loop.best["epoch"],
    }
    if isinstance(loop.learner, SearchLearner):
        result |= _save_ticket(loop, loop.learner, result)
    elif isinstance(loop.learner, SparseLearner):
        result |= _save_sparse(loop, loop.learner)
    else:
        result |= _save_weights(loop)
    result |= {
        "seconds": loop.seconds(),
        "epochs": loop.config.epochs,
        "seed": loop.config.seed,
        "data": loop.dataset.name,
        "model": loop.config.model,
        "width": loop.config.width,
        "precision": loop.config.precision,
        "device": loop.config.device,
        "tombola": __version__,
    }
    _save_examples(loop, score)
    if loop.events:  # before the result, after which no process comes back to the run
        loop.events.end(result, len(loop.history))
    loop.folder.write_result(result)
    return result


def _save_ticket(loop: Loop, learner: SearchLearner, result: dict[str, Any]) -> dict[str, Any]:
    ticket = learner.search.ticket(_metadata(loop, learner, result))
    ticket.save(loop.folder.path / "ticket.tombola")
    source = learner.search.source
    write_layers(loop.folder.path, source.mask, ticket.mask, source.generations())
    return {
        "method": loop.config.settings()["method"],
        "density": ticket.density,
        "source_density": source.density,
        "weights": ticket.mask.total,
        "ticket_bytes": ticket.nbytes,
        "bits_per_weight": ticket.bits_per_weight,
        "digest": ticket.digest,
    }


def _save_sparse(loop: Loop, learner: SparseLearner) -> dict[str, Any]:
    assert isinstance(loop.config, TrainConfig)
    training, mask = learner.training, learner.training.mask
    size = training.save(loop.folder.path / "model.safetensors", loop.config.layout)
    mask.save(loop.folder.path / "mask.safetensors")
    write_layers(loop.folder.path, training.source.mask, mask, None)
    checks = [name for name in ("reinit", "shuffle") if getattr(loop.config, name)]
    return {
        "method": loop.config.method,
        "density": mask.density,
        "source_density": training.source.density,
        "weights": mask.total,
        "ticket_bytes": None,
        "bits_per_weight": 8 * size / mask.total,
        "model_bytes": size,
        # Where a network is cut through.
        "empty_layers": [name for name, kept in mask.items() if not kept.any()],
        "trained_epochs": len(loop.plan),
        # How a ticket was trained: as it is, or checked against other weights or another mask.
        "check": (" and ".join(checks) or "retrain") if loop.config.ticket else None,
    }


def _save_weights(loop: Loop) -> dict[str, Any]:
    learner = loop.learner
    assert isinstance(learner, DenseLearner)
    model = learner.model
    # named_* name a tied tensor once, which safetensors asks for.
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    encoded = safetensors.torch.save({name: tensor.detach().contiguous() for name, tensor in tensors.items()})
    write_atomically(loop.folder.path / "model.safetensors", encoded)
    return {
        "method": "dense",
        "density": 1.0,
        "weights": learner.weights,
        "ticket_bytes": None,
        "bits_per_weight": 8 * len(encoded) / learner.weights,
        "model_bytes": len(encoded),
    }


def _metadata(loop: Loop, learner: SearchLearner, result: dict[str, Any]) -> dict[str, str]:
    """What the ticket says of itself: only what (config, seed) determine, so no paths and no times."""
    dataset = loop.dataset
    settings = {**loop.config.settings(), "data": dataset.name}
    settings["source_mask"] = learner.search.source.settings["mask"]  # its digest, in the place of a path
    values = {
        "dataset": dataset.name,
        "model": loop.config.model,
        "width": loop.config.width,
        "in_channels": dataset.in_channels,
        "classes": dataset.classes,
        "image_size": dataset.image_size,
        "mean": dataset.mean,
        "std": dataset.std,
        "settings": settings,
        **result,
        "tombola": __version__,
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _save_examples(loop: Loop, score: Score) -> None:
    """Some test images with their labels and the network's answers, for pictures of the run."""
    test = loop.dataset.test
    picked = np.sort(Stream(0, "examples", "pick").permutation(len(test))[:EXAMPLES])
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        images=loop.dataset.examples(picked.tolist()),
        labels=test.labels.cpu().numpy()[picked],
        answers=score.answers.numpy()[picked],
        class_names=np.array(loop.dataset.class_names),
    )
    write_atomically(loop.folder.path / "examples.npz", buffer.getvalue())
