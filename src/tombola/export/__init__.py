"""A ticket's network for other software: files that know nothing of seeds and masks.

`to_safetensors` needs no torch. Every function returns once the file is whole: a reader sees the old
file or the new one.
"""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.export.dense import to_safetensors as to_safetensors
    from tombola.export.onnx import OnnxFile as OnnxFile
    from tombola.export.onnx import to_onnx as to_onnx
    from tombola.export.sparse import densify as densify
    from tombola.export.sparse import to_csr as to_csr
    from tombola.export.sparse import to_ternary as to_ternary

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "OnnxFile": "tombola.export.onnx",
        "densify": "tombola.export.sparse",
        "to_csr": "tombola.export.sparse",
        "to_onnx": "tombola.export.onnx",
        "to_safetensors": "tombola.export.dense",
        "to_ternary": "tombola.export.sparse",
    },
    globals(),
)
