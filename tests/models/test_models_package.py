from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from torch import nn

from tombola import models

PUBLIC = {
    *("mlp", "lenet_300_100", "conv2", "conv4", "conv6", "conv8", "vgg16", "vgg19"),
    *("resnet18", "resnet34", "resnet50", "resnet101", "build", "MODELS"),
}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_public_names() -> None:
    assert set(models.__all__) == PUBLIC
    assert len(models.__all__) == len(PUBLIC)
    assert set(dir(models)) >= PUBLIC
    for name in PUBLIC - {"MODELS"}:
        assert callable(getattr(models, name)), name
        assert getattr(models, name).__name__ == name
    assert set(models.MODELS.values()) == {getattr(models, name) for name in PUBLIC - {"MODELS", "build"}}


def test_no_file_takes_the_place_of_a_function() -> None:
    """Importing `tombola.models.x` binds `x` on the package: no public function may be called x."""
    files = {path.stem for path in Path(str(models.__file__)).parent.glob("*.py")} - {"__init__"}
    assert files
    for file in files:
        import_module(f"tombola.models.{file}")
    assert not files & PUBLIC
    assert isinstance(models.mlp(image_size=2), nn.Module)


def test_unknown_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'tombola\.models' has no attribute 'conv3'"):
        _ = models.conv3


def test_import_is_lazy_until_a_name_is_used() -> None:
    code = (
        "import sys, tombola.models as m; dir(m); m.__all__; hasattr(m, 'conv3');"
        "print([name for name in ('torch', 'numpy') if name in sys.modules])"
    )
    assert run(code) == "[]"


def test_a_missing_torch_is_told_in_one_line() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from tombola import errors, models\n"
        "try: models.conv6\n"
        "except errors.TombolaError as error: print(error)"
    )
    assert run(code) == (
        "tombola.models.conv6 needs packages that are not installed: pip install 'tombola[torch]'"
    )
