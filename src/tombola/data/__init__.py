"""Named image data sets, folders of parquet files, and batches with augmentation."""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.data.augment import Augmentation as Augmentation
    from tombola.data.augment import crop_and_flip as crop_and_flip
    from tombola.data.batches import Batches as Batches
    from tombola.data.dataset import Dataset as Dataset
    from tombola.data.dataset import Split as Split
    from tombola.data.registry import load as load
    from tombola.data.split import hold_out as hold_out
    from tombola.data.streaming.dataset import StreamedDataset as StreamedDataset

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "Augmentation": "tombola.data.augment",
        "Batches": "tombola.data.batches",
        "Dataset": "tombola.data.dataset",
        "Split": "tombola.data.dataset",
        "StreamedDataset": "tombola.data.streaming.dataset",
        "crop_and_flip": "tombola.data.augment",
        "hold_out": "tombola.data.split",
        "load": "tombola.data.registry",
    },
    globals(),
)
