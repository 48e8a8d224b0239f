"""The plain model that a ticket is for, and the shape of its inputs: from its metadata or as given."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from tombola.architecture import model_of, plain_model, whole_number, width_of
from tombola.errors import ArgumentError, TicketError
from tombola.source.recipe import Shape
from tombola.ticket import Ticket

# Numbers, some 1,000 × 1,000 pixels in colour: several such inputs are made at once.
_LARGEST_INPUT = 1 << 22


def plain_network(
    ticket: Ticket,
    *,
    model: str | None,
    width: float | None,
    classes: int | None,
    input_shape: Shape | None,
) -> tuple[nn.Module, Shape]:
    """A fresh model of the architecture and the shape of one input; what is None, the metadata say.

    Raises ArgumentError where they do not, or where the model cannot be built; TicketError for metadata
    that cannot be used.
    """
    said = ticket.metadata
    name = model if model is not None else model_of(said)
    shape = input_shape if input_shape is not None else _image_of(said)
    if ":" not in name and (len(shape) != 3 or shape[1] != shape[2]):
        shown = ",".join(map(str, shape))
        raise ArgumentError(f"model {name!r} takes square images, such as --input-shape 3,32,32, got {shown}")
    network = plain_model(
        ticket,
        name,
        width=width if width is not None else width_of(said),
        in_channels=shape[0],
        classes=classes if classes is not None else _classes_of(said),
        image_size=shape[-1],
    )
    return network, shape


def parse_shape(text: str) -> Shape:
    """The sizes of "3,32,32". Raises ArgumentError where it is no list of positive integers."""
    try:
        shape = tuple(int(size) for size in text.split(","))
    except ValueError:
        shape = (0,)
    if min(shape) < 1:
        raise ArgumentError(f"an input shape must be positive sizes such as 3,32,32, got {text!r}")
    return shape


def _image_of(said: Mapping[str, str]) -> Shape:
    channels, size = whole_number(said, "in_channels"), whole_number(said, "image_size")
    if channels is None or size is None:
        raise ArgumentError(
            "the ticket does not say what inputs its model takes: give --input-shape, such as 3,32,32"
        )
    if channels * size**2 > _LARGEST_INPUT:
        raise TicketError(
            f"the ticket's metadata ask for inputs of {channels} × {size} × {size}: if that is meant, give "
            f"--input-shape {channels},{size},{size}"
        )
    return (channels, size, size)


def _classes_of(said: Mapping[str, str]) -> int:
    classes = whole_number(said, "classes")
    if classes is None:
        raise ArgumentError("the ticket does not say how many classes its model has: give --classes")
    return classes
