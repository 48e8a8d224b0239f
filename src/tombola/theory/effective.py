"""What a ticket computes in the place of each layer of its target: effective weights, summed up again.

Read from the rebuilt weights, not from what the construction has noted: a neuron counts as univariate, as a
constant or as a copy only if its weights say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tombola.errors import TicketError
from tombola.mask import BoolArray
from tombola.source.init import FloatArray
from tombola.theory.layout import KEY, Module, read_modules
from tombola.theory.target import Convolution, Floats, TargetLayer
from tombola.ticket.ticket import Ticket

# Of sums of up to 2^20 products in float64, relative to the sum of their magnitudes.
_ROUNDING = 2.0**-32


@dataclass(frozen=True)
class Block:
    """A layer of the target as the ticket has it, in R = outputs · copies rows.

    `width`: all rows of its module, those that are constants too. `errors`: |effective weight - target's|,
    (R, inputs, taps); of a `univariate` block once for positive and once for negative inputs. `bias_errors`:
    (R,). `magnitudes`: Σ |u| over taps, (R, inputs, copies of each input), None for a univariate block.
    """

    univariate: bool
    copies: int
    width: int
    errors: tuple[Floats, ...]
    bias_errors: Floats
    magnitudes: Floats | None = None
    read: BoolArray | None = None
    """(R,): the rows that the next layer reads; None: all."""

    def carried(self, away: Floats) -> Floats:
        """What errors `away` (inputs, copies) of the inputs come to in each row."""
        assert self.magnitudes is not None
        carried: Floats = np.einsum("ric,ic->r", self.magnitudes, away)
        return carried


@dataclass(frozen=True)
class _Affine:
    """A module's weights, (out, in, taps), its bias, and the gain and ReLU that follow."""

    weight: FloatArray
    bias: FloatArray
    module: Module
    gain: float
    relu: bool


def read_blocks(ticket: Ticket, layers: Sequence[TargetLayer]) -> list[Block]:
    """The blocks of a constructed ticket, one for each layer of the target.

    Raises TicketError where the ticket is no construction for such a target.
    """
    if KEY not in ticket.metadata:
        raise TicketError("the ticket is no construction: its metadata describe none")
    modules = read_modules(ticket.metadata[KEY])
    affine = _affine(ticket, modules)
    _check_order(modules, layers)
    blocks: list[Block] = []
    if len(affine) == 2 * len(layers):
        for layer, first, second in zip(layers, affine[::2], affine[1::2], strict=True):
            blocks.append(_univariate(layer, first, second)[0])
    else:
        block, constants = _univariate(layers[0], affine[0], affine[1])
        blocks.append(block)
        for layer, second in zip(layers[1:], affine[2:], strict=True):
            block, constants = _of_copies(layer, second, blocks[-1], constants)
            blocks[-1] = replace(blocks[-1], read=_rows_read(second, blocks[-1]))
            blocks.append(block)
    # Of these layers each row is read, or is an output: there may be none besides.
    plain = range(len(blocks)) if len(affine) == 2 * len(layers) else [len(blocks) - 1]
    for number in plain:
        if (blocks[number].copies, blocks[number].width) != (1, layers[number].outputs):
            raise TicketError(
                f"the ticket is for another target: {blocks[number].width} outputs of layer {number} for "
                f"{layers[number].outputs}"
            )
    return blocks


def _check_order(modules: Sequence[Module], layers: Sequence[TargetLayer]) -> None:
    """Raise TicketError unless the modules are of the kinds, in the order, that a construction has."""
    kinds = [module.kind for module in modules]
    # Before a linear layer a first flatten leaves vectors as they are, whichever of the two networks has one.
    first = layers[0].convolution is None and kinds[:1] == ["flatten"]
    kinds = kinds[first:]
    for univariate in (len(layers), 1):
        wanted: list[str] = []
        for number, layer in enumerate(layers):
            wanted += ["flatten"] * (layer.flatten and number > 0) + ["affine", "relu"] * (
                number < univariate
            )
            wanted += ["affine", "gain"] + ["relu"] * layer.relu
        if kinds == wanted:
            return
    affine = kinds.count("affine")
    if affine not in (2 * len(layers), len(layers) + 1):
        raise TicketError(f"the ticket is for another target: {affine} layers of weights for {len(layers)}")
    raise TicketError("the ticket is for another target: it flattens or has its ReLUs elsewhere")


def _affine(ticket: Ticket, modules: Sequence[Module]) -> list[_Affine]:
    weights, gains = ticket.weights(), {fixed.name: fixed.value for fixed in ticket.fixed}
    found = []
    for place, module in enumerate(modules):
        if module.kind != "affine":
            continue
        name = f"{place}.weight"
        shapes = {name: module.shape, f"{place}.bias": (module.outputs,)}
        if any(name not in weights or weights[name].shape != shape for name, shape in shapes.items()):
            raise TicketError(f"the ticket's tensor {name!r} is not what its metadata describe")
        after = [later.kind for later in modules[place + 1 : place + 3]]
        gain = gains.get(f"{place + 1}.gain", 0.0) if after[:1] == ["gain"] else 1.0
        values = weights[name]
        shape = (*values.shape[:2], -1) if values.ndim > 2 else (*values.shape, 1)
        relu = "relu" in (after[:1] if after[:1] == ["relu"] else after[1:2])
        found.append(_Affine(values.reshape(shape), weights[f"{place}.bias"], module, gain, relu))
    return found


def _univariate(layer: TargetLayer, first: _Affine, second: _Affine) -> tuple[Block, Floats]:
    """The block of a univariate module and the one that reads it; and the constants among the rows."""
    moves = Convolution((1, 1)) if layer.convolution else None
    one = first.module.convolution == moves and first.relu and first.gain == 1.0
    one = one and first.weight.shape[1:] == (layer.inputs, 1)
    _check_shape(layer, second, one and second.weight.shape[1] == len(first.weight))
    neurons, inputs = np.nonzero(first.weight[:, :, 0])
    edges = np.bincount(neurons, minlength=len(first.weight))
    rows = layer.outputs * second.module.copies
    row, neuron, tap = np.nonzero(second.weight[:rows])
    used = np.unique(neuron)
    if (edges[used] > 1).any() or ((edges[used] == 1) & (first.bias[used] != 0)).any():
        raise TicketError("the ticket is no construction: a neuron of its univariate layer has other edges")
    factor, source = np.zeros(len(edges)), np.full(len(edges), -1)
    factor[neurons], source[neurons] = first.weight[neurons, inputs, 0], inputs
    products = second.weight[row, neuron, tap].astype(np.float64)
    sums = []
    for sign in (1.0, -1.0):
        mine = factor[neuron] * sign > 0
        cell = np.ravel_multi_index(
            (row[mine], source[neuron[mine]], tap[mine]), (rows, layer.inputs, layer.taps)
        )
        sums.append(_summed(cell, (products * factor[neuron])[mine], (rows, layer.inputs, layer.taps)))
    errors = tuple(_difference(layer.weight, second, *both) for both in sums)
    constant = source[neuron] < 0
    values = np.maximum(first.bias[neuron[constant]].astype(np.float64), 0.0)
    offsets = _constants(layer, second, row[constant], tap[constant], products[constant] * values, rows)
    return Block(True, second.module.copies, len(second.weight), errors, offsets), _rows_that_are_constants(
        second
    )


def _of_copies(layer: TargetLayer, second: _Affine, before: Block, constants: Floats) -> tuple[Block, Floats]:
    """The block of a module that reads copies of its inputs, and constants."""
    pixels = layer.inputs * before.copies // max(1, len(before.bias_errors)) if layer.flatten else 1
    width = len(constants) * pixels
    _check_shape(
        layer,
        second,
        second.weight.shape[1] == width and len(before.bias_errors) * pixels == layer.inputs * before.copies,
    )
    rows, copied = layer.outputs * second.module.copies, layer.inputs * before.copies
    weight = second.weight[:rows, :copied].reshape(
        rows, layer.inputs // pixels, before.copies, pixels, layer.taps
    )
    ordered = weight.transpose(0, 1, 3, 2, 4).reshape(rows, layer.inputs, before.copies, layer.taps)
    exact = ordered.astype(np.float64)
    errors = _difference(layer.weight, second, exact.sum(axis=2), np.abs(exact).sum(axis=2))
    row, neuron, tap = np.nonzero(second.weight[:rows, copied:])
    values = np.repeat(constants, pixels)[copied:][neuron]
    if np.isnan(values).any():
        raise TicketError("the ticket is no construction: a neuron that is read is neither copy nor constant")
    products = second.weight[row, copied + neuron, tap].astype(np.float64) * values
    offsets = _constants(layer, second, row, tap, products, rows)
    magnitudes = np.abs(exact).sum(axis=3) * abs(second.gain)
    return Block(
        False, second.module.copies, len(second.weight), (errors,), offsets, magnitudes
    ), _rows_that_are_constants(second)


def _rows_read(second: _Affine, before: Block) -> BoolArray:
    """Which rows of the block before a module it reads, at any pixel."""
    rows = len(before.bias_errors)
    columns = np.asarray(second.weight.any(axis=(0, 2)))
    pixels = len(columns) // before.width
    return np.asarray(columns[: rows * pixels].reshape(rows, pixels).any(axis=1))


def _rows_that_are_constants(second: _Affine) -> Floats:
    """The value of each row of a module that reads no input; NaN of the others."""
    values = second.gain * second.bias.astype(np.float64)
    values = np.maximum(values, 0.0) if second.relu else values
    constants: Floats = np.where(second.weight.any(axis=(1, 2)), np.nan, values)
    return constants


def _constants(
    layer: TargetLayer, second: _Affine, row: np.ndarray, tap: np.ndarray, products: Floats, rows: int
) -> Floats:
    """|effective bias - target's| of each row. Raises TicketError where a constant is read at the padding."""
    moves = layer.convolution
    if moves is not None and any(moves.padding):
        inner = [] if layer.size is None else moves.inner_taps(layer.size)
        if not np.isin(tap, inner).all():
            raise TicketError(
                "a constant is read where there may be padding: input_shape has to say there is none"
            )
    total, magnitude = _summed(row, products, (rows,))
    own = second.bias[:rows].astype(np.float64)
    target = np.repeat(layer.bias, second.module.copies)
    difference: Floats = np.abs(second.gain * (total + own) - target)
    return difference + _ROUNDING * (abs(second.gain) * (magnitude + np.abs(own)) + np.abs(target))


def _difference(target: Floats, second: _Affine, total: Floats, magnitude: Floats) -> Floats:
    wanted = np.repeat(target, second.module.copies, axis=0)
    difference: Floats = np.abs(second.gain * total - wanted)
    return difference + _ROUNDING * (abs(second.gain) * magnitude + np.abs(wanted))


def _summed(cells: np.ndarray, values: Floats, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Sums of values by cell, and of their magnitudes."""
    size = int(np.prod(shape))
    total, magnitude = (
        np.bincount(cells, each, minlength=size).astype(np.float64).reshape(shape)
        for each in (values, np.abs(values))
    )
    return total, magnitude


def _check_shape(layer: TargetLayer, second: _Affine, fits: bool) -> None:
    same = second.module.convolution == layer.convolution
    enough = second.weight.shape[0] >= layer.outputs * second.module.copies >= 1
    if not (fits and same and enough and second.weight.shape[2] == layer.taps and second.relu == layer.relu):
        raise TicketError("the ticket is for another target: a layer has other sizes, or moves otherwise")
