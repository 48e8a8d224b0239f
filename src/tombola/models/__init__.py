"""Networks to draw tickets from: plain torch modules that know nothing of masks.

Every builder has the signature `name(width=1.0, in_channels=3, classes=10, image_size=32)`, maps a
float tensor (N, in_channels, image_size, image_size) to logits (N, classes), and names its parameters
after what they are (`conv1.weight`, `layer1.0.conv1.weight`, `fc1.weight`). `build` finds a builder by
its name on the command line. Nothing here needs torch until a name is used (PEP 562).

>>> from tombola import models
>>> sum(p.numel() for name, p in models.conv6().named_parameters() if name.endswith("weight"))
2261184
"""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.models.conv import conv2 as conv2
    from tombola.models.conv import conv4 as conv4
    from tombola.models.conv import conv6 as conv6
    from tombola.models.conv import conv8 as conv8
    from tombola.models.perceptron import lenet_300_100 as lenet_300_100
    from tombola.models.perceptron import mlp as mlp
    from tombola.models.registry import MODELS as MODELS
    from tombola.models.registry import build as build
    from tombola.models.resnet import resnet18 as resnet18
    from tombola.models.resnet import resnet34 as resnet34
    from tombola.models.resnet import resnet50 as resnet50
    from tombola.models.resnet import resnet101 as resnet101
    from tombola.models.vgg import vgg16 as vgg16
    from tombola.models.vgg import vgg19 as vgg19

# No file may bear the name of a public function: importing it would put the module in the function's
# place on this package. That is why `mlp` lives in perceptron.py.
__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "MODELS": "tombola.models.registry",
        "build": "tombola.models.registry",
        "conv2": "tombola.models.conv",
        "conv4": "tombola.models.conv",
        "conv6": "tombola.models.conv",
        "conv8": "tombola.models.conv",
        "lenet_300_100": "tombola.models.perceptron",
        "mlp": "tombola.models.perceptron",
        "resnet18": "tombola.models.resnet",
        "resnet34": "tombola.models.resnet",
        "resnet50": "tombola.models.resnet",
        "resnet101": "tombola.models.resnet",
        "vgg16": "tombola.models.vgg",
        "vgg19": "tombola.models.vgg",
    },
    globals(),
)
