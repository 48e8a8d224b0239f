"""Write src/tombola/source/normal_quantiles.f32, the fixed table behind `kaiming_normal`.

Row k, k = 0 … 2^16 - 1, is the float32 nearest to the quantile of N(0, 1) at 1/2 + (2k + 1) / 2^18,
little-endian. Computed with 40 digits (mpmath, a dependency of torch), so every row is rounded
correctly; anyone with arbitrary precision can make the same bytes.

    python tools/make_normal_quantiles.py src/tombola/source/normal_quantiles.f32
"""

import sys
from pathlib import Path
from statistics import NormalDist

import mpmath
import numpy as np

mpmath.mp.dps = 40
ROWS = 1 << 16


def quantile(row: int) -> mpmath.mpf:
    """Newton's method on erf from the double-precision quantile: two steps give 40 digits."""
    excess = mpmath.mpf(2 * row + 1) / 2**18
    x = mpmath.mpf(NormalDist().inv_cdf(0.5 + float(excess)))
    for _ in range(2):
        error = mpmath.erf(x / mpmath.sqrt(2)) / 2 - excess
        x -= error / mpmath.npdf(x)
    return x


def nearest_float32(value: mpmath.mpf) -> np.float32:
    """Round once: to double first would round twice, so pick the nearest of three neighbours."""
    middle = np.float32(float(value))
    around = (np.nextafter(middle, np.float32(-np.inf)), middle, np.nextafter(middle, np.float32(np.inf)))
    return min(around, key=lambda candidate: abs(mpmath.mpf(float(candidate)) - value))


if __name__ == "__main__":
    table = np.array([nearest_float32(quantile(row)) for row in range(ROWS)], dtype="<f4")
    Path(sys.argv[1]).write_bytes(table.tobytes())
