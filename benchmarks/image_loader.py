"""Claim: of the time that a training image takes, decoding and resampling it are nearly all.

Images a second and core of the loader (read, decode, random resized crop, mirror, uint8 batch; one process,
no workers) beside decoding alone (Pillow's open and convert) and beside decoding and making the same crops by
Pillow with no loader around them, on the images of imagenet-sample.tar, whose shorter side is 160 pixels, and
on the same enlarged to ImageNet's usual 500×375. Processor seconds, turn by turn, so that what else the
machine does hits all alike; medians of the rounds. Then, by the clock, epochs with one worker and with none.

    TOMBOLA_DATA=FOLDER python benchmarks/image_loader.py [ROUNDS]
"""

from __future__ import annotations

import io
import os
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from _machine import print_machine
from PIL import Image

from tombola.data.crops import WORDS, mirrored, random_box
from tombola.data.streaming.dataset import StreamedDataset, StreamedSplit
from tombola.data.streaming.decoding import Task, decode_task
from tombola.data.streaming.folder import FolderImages, open_image_folder
from tombola.rng import Stream, Words

IMAGES, CHUNK, SIZE = 320, 32, 224


def main() -> None:
    """A few lines for each size of image."""
    torch.set_num_threads(1)
    print_machine()
    sample = Path(os.environ.get("TOMBOLA_DATA", "../shared/data")) / "imagenet-sample.tar"
    if not sample.is_file():
        print(f"skipped: no {sample}; set TOMBOLA_DATA")
        return
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    with tempfile.TemporaryDirectory() as folder:
        for name, side in (("as in the sample", 0), ("at 500×375", 375)):
            measure(name, unpack(sample, Path(folder) / name, side), rounds)


def unpack(sample: Path, folder: Path, side: int) -> FolderImages:
    """The sample's images as a folder, their shorter side made `side` pixels unless that is 0."""
    with tarfile.open(sample) as archive:
        for member in archive.getmembers()[:IMAGES]:
            file = archive.extractfile(member)
            if file is None:
                continue
            data = file.read()
            if side:
                with Image.open(io.BytesIO(data)) as image:
                    by = side / min(image.size)
                    larger = image.convert("RGB").resize(
                        (round(image.width * by), round(image.height * by)), Image.Resampling.BICUBIC
                    )
                buffer = io.BytesIO()
                larger.save(buffer, "JPEG", quality=90)
                data = buffer.getvalue()
            path = folder / member.name
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
    (folder / "train").symlink_to(folder / "val")
    return open_image_folder(folder)[0]


def measure(name: str, images: FolderImages, rounds: int) -> None:
    """Ratios of processor seconds, and of seconds by the clock."""
    n = len(images.labels)
    words = Stream(0, "data", "words").words(WORDS * n).reshape(n, WORDS)
    paths = [Path(cell.name) for cell in images.cells(torch.arange(n).numpy())]
    ways: dict[str, Callable[[], object]] = {
        "decoding alone": lambda: [opened(path) for path in paths],
        "decoding and Pillow's resampling": lambda: [
            resampled(path, w) for path, w in zip(paths, words, strict=True)
        ],
        "the loader": lambda: list(loaded(images, words)),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, run in ways.items():
            began = time.process_time()
            run()
            seconds[way].append(time.process_time() - began)
    print(f"{name} ({sum(images.sizes) / n / 1000:.0f} kB an image), {SIZE}×{SIZE}, {rounds} rounds")
    alone = seconds["decoding alone"]
    for way, took in seconds.items():
        share = median(a / b for a, b in zip(alone, took, strict=True))
        print(f"  {way:<33} {n / median(took):6.0f} images/s per core, {share:.3f} of decoding alone")
    ratio = median(
        a / b for a, b in zip(seconds["decoding and Pillow's resampling"], seconds["the loader"], strict=True)
    )
    print(f"  the loader ÷ decoding and Pillow's resampling {ratio:.3f}")
    by_clock = [epoch_seconds(images, workers) for _ in range(rounds) for workers in (0, 1)]
    ratio = median(a / b for a, b in zip(by_clock[::2], by_clock[1::2], strict=True))
    print(f"  images/s with one worker ÷ with none, by the clock: {ratio:.2f}")


def opened(path: Path) -> Image.Image:
    """What decoding takes at the least."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return image.convert("RGB")


def resampled(path: Path, words: Words) -> bytes:
    """The same crop in the fewest calls of Pillow."""
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        box = random_box(*image.size, words)
        crop = image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=box.corners)
    return (crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored(words) else crop).tobytes()


def loaded(images: FolderImages, words: Words) -> Iterator[torch.Tensor]:
    """What a worker does."""
    cells = list(images.cells(torch.arange(len(words)).numpy()))
    for first in range(0, len(cells), CHUNK):
        part = slice(first, first + CHUNK)
        yield decode_task(Task(tuple(cells[part]), SIZE, words[part]))


def epoch_seconds(images: FolderImages, workers: int) -> float:
    """Wall-clock seconds of an epoch of float32 batches."""
    rows = torch.arange(len(images.labels)).numpy()
    split = StreamedSplit(images, rows)
    data = StreamedDataset("sample", split, split, split, ("class",), SIZE, workers)
    began = time.perf_counter()
    for _ in data.training(64, seed=0, augment=True, channels_last=True).epoch(0):
        pass
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
