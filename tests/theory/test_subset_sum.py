"""subset_sum against all 2^n subsets, one by one, to the bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tombola.theory import SubsetSums, meet, subset_sum, subset_sums
from tombola.theory import kernels as loops
from tombola.theory.kernels import Bools, Floats

VARIANTS = ("nearest", "fewest", "size", "within")


@pytest.fixture(params=["numpy", "compiled"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a test with numpy's loops and with the compiled ones."""
    take(request.param, monkeypatch)


def take(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if path == "compiled":
        pytest.importorskip("numba")
    chosen = loops.NUMPY if path == "numpy" else loops.kernels()
    monkeypatch.setattr(meet, "kernels", lambda: chosen)


def both(*arguments: Any, **options: Any) -> SubsetSums:
    """The result of the numpy path, which the compiled one, where there is one, must equal to the bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(meet, "kernels", lambda: loops.NUMPY)
        plain = subset_sum(*arguments, **options)
    equal(subset_sum(*arguments, **options), plain)
    return plain


def equal(one: SubsetSums, other: SubsetSums) -> None:
    for name in ("mask", "sums", "errors", "solved"):
        mine, its = getattr(one, name), getattr(other, name)
        assert mine.dtype == its.dtype
        assert mine.shape == its.shape
        assert mine.tobytes() == its.tobytes(), name


def every_subset(values: list[float]) -> Iterator[tuple[float, tuple[int, ...]]]:
    """Sum, in the order that subset_sum states, and members of all subsets of some candidates."""
    middle = len(values) // 2
    for count in range(len(values) + 1):
        for members in itertools.combinations(range(len(values)), count):
            left = right = 0.0
            for index in members:
                if index < middle:
                    left += values[index]
                else:
                    right += values[index]
            yield left + right, members


def brute_force(
    target: float, values: list[float], tolerance: float, variant: str, size: int | None
) -> tuple[float, tuple[int, ...], bool]:
    """Sum, members and whether solved, from the definition alone."""
    ranked = []
    for total, members in every_subset(values):
        error, mask = abs(total - target), sum(1 << index for index in members)
        allowed = variant == "nearest" or (error <= tolerance and (variant != "size" or len(members) == size))
        rank = {"fewest": (len(members), error, mask), "within": (mask,)}.get(variant)
        if allowed:
            ranked.append((rank or (error, len(members), mask), total, members, error <= tolerance))
    if not ranked:
        return 0.0, (), False
    return min(ranked)[1:]


def check(
    targets: Floats, candidates: Floats, tolerance: float, alive: Bools | None = None, size: int = 1
) -> None:
    for variant in VARIANTS:
        wanted = size if variant == "size" else None
        found = both(targets, candidates, tolerance, variant=variant, size=wanted, alive=alive)
        for row, target in enumerate(targets.tolist()):
            mine = candidates if candidates.ndim == 1 else candidates[row]
            usable = np.arange(mine.size) if alive is None else np.flatnonzero(alive[row])
            expected = brute_force(target, mine[usable].tolist(), tolerance, variant, wanted)
            members = tuple(np.searchsorted(usable, np.flatnonzero(found.mask[row])).tolist())
            assert not found.mask[row][np.setdiff1d(np.arange(mine.size), usable)].any()
            assert (found.sums[row], members, found.solved[row]) == expected, variant
            assert found.errors[row] == abs(expected[0] - target)


# A few round numbers, so that sums are often equal, and any numbers, so that sums round.
ROUND = st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, -0.1, -0.2, 0.5, 1.0, -1.0, 1e-17, 1e16])
NUMBERS = st.one_of(ROUND, st.floats(-2, 2), st.floats(-1e9, 1e9))


@st.composite
def problems(draw: st.DrawFn) -> tuple[Floats, Floats, float, Bools | None, int]:
    count, rows = draw(st.integers(1, 9)), draw(st.integers(1, 3))
    numbers = draw(st.sampled_from([ROUND, NUMBERS]))
    shape = (count,) if draw(st.booleans()) else (rows, count)
    flat = draw(st.lists(numbers, min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    targets = np.array(draw(st.lists(numbers, min_size=rows, max_size=rows)))
    alive = None
    if draw(st.booleans()):
        bits = draw(st.lists(st.booleans(), min_size=rows * count, max_size=rows * count))
        alive = np.array(bits).reshape(rows, count)
    tolerance = draw(st.sampled_from([1e-12, 0.01, 0.1, 1.0, 1e6]))
    return targets, np.array(flat).reshape(shape), tolerance, alive, draw(st.integers(0, count))


@given(problems())
def test_every_variant_is_exact(problem: tuple[Floats, Floats, float, Bools | None, int]) -> None:
    check(*problem)


@given(st.integers(10, 12), st.integers(0, 2**32), st.booleans())
def test_more_candidates_are_exact(count: int, seed: int, lattice: bool) -> None:
    random = np.random.default_rng(seed)
    candidates = random.uniform(-1, 1, (1, count))
    target = random.uniform(-2, 2, 1)
    if lattice:  # ties everywhere
        candidates, target = np.round(candidates * 4) / 4, np.round(target * 8) / 8
    check(target, candidates, 0.01, size=count // 3)


@pytest.mark.parametrize("seed", range(2))
def test_sixteen_candidates_are_exact(seed: int) -> None:
    random = np.random.default_rng(seed)
    check(random.uniform(-1, 1, 1), random.uniform(-1, 1, (1, 16)), 0.001, size=5)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    ("variant", "target", "members"),
    [
        ("nearest", 2.0, [3]),  # not 0 and 1: fewer members
        ("nearest", 1.0, [0]),  # not 1: the lower mask
        ("nearest", 1.5, [0]),  # 1 and 2 are as near
        ("nearest", 0.0, []),  # not 4, the candidate that is zero
        ("nearest", -9.0, [5]),
        ("nearest", 99.0, [0, 1, 2, 3]),  # the zero would be a member too many
        ("fewest", 3.0, [0, 3]),
        ("within", 3.0, [0, 1, 2]),
        ("size", 3.0, [0, 1, 2]),
    ],
)
def test_ties_by_hand(variant: str, target: float, members: list[int]) -> None:
    candidates = [1.0, 1.0, 1.0, 2.0, 0.0, -1.0]
    size = 3 if variant == "size" else None
    found = subset_sum([target], candidates, 0.5, variant=variant, size=size)
    assert np.flatnonzero(found.mask[0]).tolist() == members


@pytest.mark.usefixtures("path")
def test_equal_sums_of_one_half_are_ties() -> None:
    # Just above and just below the target: 2 is one member of the half, or two.
    found = subset_sum([1.9, 2.1], [50.0, 60.0, 1.0, 1.0, 2.0], 0.2)
    assert found.mask.astype(int).tolist() == [[0, 0, 0, 0, 1]] * 2
    found = subset_sum([1.9, 2.1], [1.0, 1.0, 2.0, 50.0, 60.0, 70.0], 0.2)
    assert found.mask.astype(int).tolist() == [[0, 0, 1, 0, 0, 0]] * 2


@pytest.mark.usefixtures("path")
def test_sums_are_taken_in_the_order_stated() -> None:
    # 1e16 + (1 + 1) is 1e16 + 2, but (1e16 + 1) + 1 is 1e16.
    found = subset_sum([1e16 + 2], [1e16, 1.0, 1.0], 0.5)
    assert bool(found.mask.all() and found.sums[0] == 1e16 + 2 and found.solved.all())
    assert not subset_sum([1e16 + 2], [1e16, 1.0, 1.0, 0.0], 0.5).solved.any()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_cannot_be_solved_is_reported(variant: str) -> None:
    found = subset_sum(
        [0.5, 9.0], [0.25, 0.25, 0.3], 0.01, variant=variant, size=2 if variant == "size" else None
    )
    assert found.solved.tolist() == [True, False]
    assert found.mask.tolist() == [[True, True, False], [variant == "nearest"] * 3]
    assert found.sums.tolist() == [0.5, 0.8 if variant == "nearest" else 0.0]
    assert found.errors.tolist() == [0.0, 9.0 - found.sums[1]]


def test_an_empty_mask_near_the_target_is_no_solution_of_another_size() -> None:
    found = both([0.001, 0.001], [[1.0, 2.0], [1.0, -1.0]], 0.01, variant="size", size=2)
    assert found.solved.tolist() == [False, True]
    assert found.mask.tolist() == [[False, False], [True, True]]
    assert found.errors.tolist() == [0.001, 0.001]


def test_the_tolerance_itself_is_within() -> None:
    for variant in ("nearest", "fewest", "within"):
        assert both([1.0], [0.75], 0.25, variant=variant).solved.all()
        assert not both([1.0], [0.75], np.nextafter(0.25, 0), variant=variant).solved.any()


def test_alive_leaves_columns_their_place() -> None:
    alive = np.array([[False, True, False, True], [False] * 4, [True] * 4])
    found = both([3.0, 3.0, 3.0], [3.0, 1.0, 3.0, 2.0], 0.1, alive=alive)
    assert found.mask.astype(int).tolist() == [[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert found.solved.tolist() == [True, False, True]
    equal(
        both([3.0], [3.0, 1.0], 0.1, alive=[False, True]), both([3.0], [3.0, 1.0], 0.1, alive=[[False, True]])
    )


def test_shared_candidates_are_those_of_every_target() -> None:
    random = np.random.default_rng(0)
    targets, candidates = random.uniform(-1, 1, 50), random.uniform(-1, 1, 11)
    for variant in ("nearest", "fewest", "within"):
        own = both(targets, np.tile(candidates, (50, 1)), 0.01, variant=variant)
        equal(both(targets, candidates, 0.01, variant=variant), own)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("chunk", [1, 100, 1 << 12])
def test_chunks_change_nothing(variant: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    targets, candidates = random.uniform(-3, 3, 60), random.uniform(-1, 1, (60, 13))
    alive = random.random((60, 13)) < 0.7
    size = 4 if variant == "size" else None
    wanted = [
        subset_sum(targets, candidates, 0.01, variant=variant, size=size, alive=which)
        for which in (alive, None)
    ]
    monkeypatch.setattr(subset_sums, "_CHUNK", chunk)
    for which, whole in zip((alive, None), wanted, strict=True):
        equal(subset_sum(targets, candidates, 0.01, variant=variant, size=size, alive=which), whole)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("distance", [0.0, 0.3])
def test_first_looks_do_not_decide(variant: str, distance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    targets, candidates = random.uniform(-1, 1, 40) + distance, random.uniform(-0.2, 0.4, (40, 12))
    size = 4 if variant == "size" else None
    whole = subset_sum(targets, candidates, 1e-3, variant=variant, size=size)
    assert 0 < whole.solved.mean() < 1
    monkeypatch.setattr(meet, "_GLANCES", 1)
    equal(subset_sum(targets, candidates, 1e-3, variant=variant, size=size), whole)


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("variant", VARIANTS)
def test_forty_candidates(variant: str) -> None:
    candidates = np.random.default_rng(3).uniform(-1, 1, 40)
    found = subset_sum(
        [0.123, 99.0], candidates, 1e-8, variant=variant, size=12 if variant == "size" else None
    )
    assert found.solved.tolist() == [True, False]
    assert abs(float(candidates[found.mask[0]].sum()) - 0.123) < 1.01e-8
    if variant == "nearest":
        assert (found.mask[1] == (candidates > 0)).all()
        assert found.errors[0] < 1e-10
    elif variant == "size":
        assert found.mask[0].sum() == 12


def test_more_columns_than_forty_when_few_are_alive() -> None:
    random = np.random.default_rng(4)
    candidates, alive = random.uniform(-1, 1, (5, 138)), np.zeros((5, 138), dtype=np.bool_)
    alive[:, ::10] = True
    found = both(np.zeros(5) + 0.5, candidates, 0.01, alive=alive)
    dense = both(np.zeros(5) + 0.5, candidates[:, ::10], 0.01)
    assert found.mask[:, ::10].tolist() == dense.mask.tolist()
    assert not found.mask[~alive].any()
    assert found.sums.tolist() == dense.sums.tolist()


@given(st.integers(0, 2**32))
def test_true_errors_exceed_the_tolerance_by_rounding_alone(seed: int) -> None:
    random = np.random.default_rng(seed)
    candidates = random.uniform(-1, 1, (20, 15)) * 10.0 ** random.integers(-3, 4, (20, 15))
    targets = random.uniform(-1, 1, 20)
    found = subset_sum(targets, candidates, 0.01, variant="fewest")
    assert found.solved.any()
    for row in np.flatnonzero(found.solved):
        members = [Fraction(value) for value in candidates[row][found.mask[row]].tolist()]
        true = abs(sum(members) - Fraction(float(targets[row])))
        unit = Fraction(1, 2**53)
        bound = 20 * unit * (1 + Fraction(1, 10**14)) * sum(abs(value) for value in members)
        error = Fraction(float(found.errors[row]))
        assert abs(true - error) <= bound + unit * error
        assert true <= (Fraction(0.01) + bound) / (1 - unit)


def test_other_kinds_of_numbers_and_layouts() -> None:
    random = np.random.default_rng(5)
    targets, candidates = random.uniform(-1, 1, 8), random.uniform(-1, 1, (8, 10)).astype(np.float32)
    wanted = both(targets, candidates.astype(np.float64), 0.01)
    frozen = candidates.copy()
    frozen.flags.writeable = False
    for same in (candidates, np.asfortranarray(candidates), frozen, candidates[::-1][::-1]):
        equal(both(targets, same, 0.01), wanted)
    assert both([3], [[1, 2]], 0.1).mask.tolist() == [[True, True]]
    assert wanted.sums.dtype == np.float64
    assert candidates.flags.writeable


def test_no_targets_at_all() -> None:
    for candidates in (np.zeros((0, 3)), np.zeros(3)):
        found = both([], candidates, 0.1)
        assert (found.mask.shape, found.sums.shape, found.solved.shape) == ((0, 3), (0,), (0,))
