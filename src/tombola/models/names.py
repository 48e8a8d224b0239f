"""What the models are called on the command line. No torch here, as in `data/names.py`."""

from __future__ import annotations

from tombola.errors import unknown

NAMES = (
    "mlp",
    "lenet-300-100",
    "conv2",
    "conv4",
    "conv6",
    "conv8",
    "vgg16",
    "vgg19",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
)


def check_name(name: str) -> str:
    """`name` as in `NAMES`, `-` and `_` alike. Raises ArgumentError for another one."""
    if name.replace("_", "-") not in NAMES:
        raise unknown("model", name, NAMES)
    return name.replace("_", "-")
