"""What the C library does with memory that tensors give back: kept for the next step.

glibc returns the free top of its heap to the kernel, and every block of more than 32 MiB. The next step of
training asks for the same memory again, whose pages the kernel then has to clear once more: up to a fifth of
a step's time on a CPU (`benchmarks/heap.py`). How much of the heap is its top depends on what chances to lie
there, so that of equal runs some pay for it at every step and some never.
"""

from __future__ import annotations

import ctypes
import os
import sys

# The numbers of mallopt(3), in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# What glibc comes to by itself as such blocks are freed, and the most that all its versions take. With a
# greater one up to a fifth more memory was in use: the holes that such blocks leave in the heap are often
# just too small for the next one of their size.
_LARGEST = 32 << 20
_OFF = -1


def keep_freed_memory() -> bool:
    """Tell glibc to take blocks of up to 32 MiB from its heap, and never to shrink that; whether it took it.

    For the whole process, and for good. Nothing is changed where the C library is another one, or where the
    user has set one of glibc's own variables for this (those of mallopt(3) that end in an underscore,
    GLIBC_TUNABLES of malloc). An allocator that stands before glibc's, as mimalloc in builds of torch for
    ARM, does not care.
    """
    given = any(name.startswith("MALLOC_") and name.endswith("_") for name in os.environ)
    if (
        not sys.platform.startswith("linux")
        or given
        or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(
        [mallopt(_MMAP_THRESHOLD, _LARGEST) == 1, mallopt(_TRIM_THRESHOLD, _OFF) == 1]
    )
