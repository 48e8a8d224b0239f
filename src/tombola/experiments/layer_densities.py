"""What every density rule gives every layer of a model: the command `bounds --densities`."""

from __future__ import annotations

import math
from functools import partial

from tombola.architecture import skeleton
from tombola.source.density import densities
from tombola.source.plan import layer_shapes
from tombola.source.rules import RULES

Table = dict[str, dict[str, float]]


def density_table(
    model: str,
    width: float,
    density: float,
    *,
    in_channels: int,
    classes: int,
    image_size: int,
    dense_first: bool = False,
    dense_last: bool = False,
    dense_depthwise: bool = False,
) -> tuple[Table, dict[str, int]]:
    """{rule: {layer: p_l}} at an overall `density`, and how many weights each layer has. `dense_first` and
    the like are those of `densities`.

    Nothing is drawn, and a model of the library's own takes no memory, however wide.
    Raises ArgumentError for a model that is unknown or cannot be built, or a density that no rule can meet.
    """
    network = skeleton(model, width=width, in_channels=in_channels, classes=classes, image_size=image_size)
    shapes = layer_shapes(network)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    spread = partial(
        densities, dense_first=dense_first, dense_last=dense_last, dense_depthwise=dense_depthwise
    )
    return {rule: spread(shapes, density, rule) for rule in RULES}, sizes
