"""What the C library does with memory that tensors give back: kept for the next step.

glibc maps large blocks anew each time they are asked for and unmaps them when they are freed. A training step
asks for the same blocks as the one before, so the kernel clears the same pages step after step: on a CPU a
tenth of a search's time and more (`benchmarks/heap.py`).
"""

from __future__ import annotations

import ctypes
import os
import sys

# The numbers of mallopt(3), in malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
# The greatest that glibc takes. Greater blocks stay mapped: in the heap, holes that they leave are often just
# too small for the next one of their size, and up to a fifth more memory was seen in use.
_LARGEST = 32 << 20
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell glibc to take blocks of up to 32 MiB from the heap, and never to shrink it; whether it does.

    Nothing is changed where another C library allocates, or where the user has said how memory is to be
    allocated (variables MALLOC_…_ or GLIBC_TUNABLES).
    """
    given = any(name.startswith("MALLOC_") and name.endswith("_") for name in os.environ)
    if not sys.platform.startswith("linux") or given or "malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return (
        mallopt is not None
        and bool(mallopt(_MMAP_THRESHOLD, _LARGEST))
        and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
    )
