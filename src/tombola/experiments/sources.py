"""From the options of a run to the source that is searched or trained in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import nn

from tombola.errors import ArgumentError
from tombola.experiments.repeat import is_ticket
from tombola.experiments.source_config import SourceConfig
from tombola.mask import Mask
from tombola.rng import Stream
from tombola.source.density import AnyRule, densities, overall
from tombola.source.network import Source
from tombola.source.plan import layer_shapes
from tombola.ticket import Ticket


def make_source(model: nn.Module, config: SourceConfig, kept: float | None, *, bias: bool = False) -> Source:
    """The source that `config` describes, attached to `model`; `kept` is the density that is going to be
    searched or trained in it, by which fan scaling goes (None: all of it).

    Raises what `Source` and `read_mask` raise.
    """
    mask = None if config.source_mask is None else read_mask(config.source_mask)
    fan_density = fan_densities(model, config, kept, mask) if config.fan_scaling else None
    if mask is not None:
        return Source(model, config.seed, config.init, bias=bias, fan_density=fan_density, mask=mask)
    return Source(
        model,
        seed=config.seed,
        init=config.init,
        density=config.source_density,
        rule=source_rule(config),
        bias=bias,
        fan_density=fan_density,
        exact=config.exact,
    )


def fan_densities(
    model: nn.Module, config: SourceConfig, kept: float | None, mask: Mask | None
) -> dict[str, float]:
    """The density that each layer is going to keep: of its rule, or of the source thinned evenly."""
    shapes = layer_shapes(model)
    if config.ticket_rule is not None and kept is not None:
        return densities(shapes, kept, config.ticket_rule)
    if mask is not None:
        if not mask.kept:
            raise ArgumentError("the mask keeps no weight at all")
        alive = {name: float(mask[name].mean()) if name in mask else 1.0 for name in shapes}
    else:
        alive = densities(shapes, config.source_density, source_rule(config))
    thinned = 1.0 if kept is None else kept / overall(shapes, alive)
    # A layer that keeps nothing is at no scale at all.
    return {name: min(1.0, density * thinned) or 1.0 for name, density in alive.items()}


def source_rule(config: SourceConfig) -> AnyRule:
    """The density rule with the layers that are kept dense."""
    whole = {name: getattr(config, name) for name in ("dense_first", "dense_last", "dense_depthwise")}
    return partial(densities, rule=config.rule, **whole) if any(whole.values()) else config.rule


def read_mask(path: Path) -> Mask:
    """The mask in a mask file or a ticket. Raises what `Mask.load` and `Ticket.load` raise; ArgumentError for
    a folder, naming what it holds.
    """
    if path.is_dir():
        found = [name for name in ("mask.safetensors", "ticket.tombola") if (path / name).is_file()]
        said = f"give {path / found[0]}" if found else "expected a mask.safetensors or a ticket"
        raise ArgumentError(f"{path} is a folder: {said}")
    return Ticket.load(path).mask if is_ticket(path) else Mask.load(path)


def other_seed(seed: int) -> int:
    """A seed that is not `seed`, and a function of it: for the weights of a ticket re-initialised."""
    low, high = (int(word) for word in Stream(seed, "ticket", "reinit").words(2))
    return high << 32 | low
