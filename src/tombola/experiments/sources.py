"""From the options of a run to the source that is searched or trained in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from torch import nn

from tombola.experiments.repeat import is_ticket
from tombola.experiments.source_config import SourceConfig
from tombola.mask import Mask
from tombola.rng import Stream
from tombola.source.density import AnyRule, densities
from tombola.source.network import Source
from tombola.ticket import Ticket


def make_source(
    model: nn.Module,
    config: SourceConfig,
    *,
    bias: bool = False,
    fan_density: float | dict[str, float] | None = None,
) -> Source:
    """The source that `config` describes, attached to `model`.

    Raises what `Source` and `read_mask` raise.
    """
    if config.source_mask is not None:
        mask = read_mask(config.source_mask)
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


def source_rule(config: SourceConfig) -> AnyRule:
    """The density rule with the layers that are kept dense."""
    whole = {name: getattr(config, name) for name in ("dense_first", "dense_last", "dense_depthwise")}
    return partial(densities, rule=config.rule, **whole) if any(whole.values()) else config.rule


def read_mask(path: Path) -> Mask:
    """The mask in a mask file or a ticket. Raises what `Mask.load` and `Ticket.load` raise."""
    return Ticket.load(path).mask if is_ticket(path) else Mask.load(path)


def other_seed(seed: int) -> int:
    """A seed that is not `seed`, and a function of it: for the weights of a ticket re-initialised."""
    low, high = (int(word) for word in Stream(seed, "ticket", "reinit").words(2))
    return high << 32 | low
