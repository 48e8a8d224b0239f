"""Files made to do harm, each with a right checksum: TicketError is all that ever leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tombola
from builders import conv_batch_norm
from tombola import Ticket, TicketError
from tombola.ticket.container import pack, unpack


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    path = tmp_path_factory.mktemp("ticket") / "a.tombola"
    tombola.IteRand(tombola.Source(conv_batch_norm(), density=0.7), 0.4).ticket({"a": "b"}).save(path)
    return unpack(path.read_bytes())


def open_file(data: bytes, folder: Path) -> None:
    (folder / "x.tombola").write_bytes(data)
    ticket = Ticket.load(folder / "x.tombola")
    ticket.verify()
    repr(ticket)


def recipe_with(metadata: dict[str, str], change: Callable[[dict[str, Any]], Any]) -> str:
    recipe = json.loads(metadata["recipe"])
    change(recipe)
    return json.dumps(recipe, separators=(",", ":"))


def _tensor(*row: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda recipe: recipe["tensors"].__setitem__(0, list(row))


def _fixed(*row: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda recipe: recipe["fixed"].__setitem__(0, list(row))


def _statistic(*row: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda recipe: recipe["statistics"].__setitem__(0, list(row))


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.update(seed=float("inf")),
        lambda r: r.update(seed=1),
        lambda r: r.update(seed=True),
        lambda r: r.update(seed=" 0_0 "),
        lambda r: r.update(seed="٠"),
        lambda r: r.update(init=["signed_constant"]),
        lambda r: r.update(init="x" * 10**6),
        lambda r: r.update(tensors=[]),
        lambda r: r.update(unknown=1),
        lambda r: r["statistics"].append(["1.running_mean", [0]]),
        _tensor("a", [4], 10**400),
        _tensor("a", [4], 1e200),
        _tensor("a", [4], 1, 5e-324, 1),
        _tensor("a", [1] * 70, 1),
        _tensor("a", [0, 2**31, 2**31, 2**31], 1),
        _tensor("\ud800", [4], 1),
        _tensor("0.weight", [8, 3, 3, 3], 27.0, 1.0, 3006477107),
        _fixed("1.weight", [8], 10**400),
        _fixed("1.weight", [8], 1e300),
        _fixed("1.weight", [0, 2**31, 2**31], 1.0),
        _fixed("1.weight", [8], True),
        _statistic("1.running_mean", [2**31, 2**31, 2**31]),
        _statistic("1.running_mean", [-8]),
    ],
)
def test_recipes(
    change: Callable[[dict[str, Any]], Any],
    parts: tuple[dict[str, np.ndarray], dict[str, str]],
    tmp_path: Path,
) -> None:
    arrays, metadata = parts
    with pytest.raises(TicketError) as raised:
        open_file(pack(arrays, {**metadata, "recipe": recipe_with(metadata, change)}), tmp_path)
    assert len(str(raised.value)) < 1000
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": "[" * 100_000},
        {"recipe": "{}"},
        {"recipe": "3"},
        {"metadata": '{"a":"c","a":"b"}'},
        {"metadata": '{"a": "b"}'},
        {"metadata": '{"a":1}'},
        {"metadata": '{"a":"\\ud800"}'},
        {"metadata": "[]"},
        {"digest": ""},
        {"hidden": "payload"},
    ],
)
def test_headers(
    change: dict[str, str], parts: tuple[dict[str, np.ndarray], dict[str, str]], tmp_path: Path
) -> None:
    arrays, metadata = parts
    with pytest.raises(TicketError):
        open_file(pack(arrays, {**metadata, **change}), tmp_path)


@pytest.mark.parametrize("name", ["code", "counts", "statistics"])
@pytest.mark.parametrize("change", ["missing", "longer", "shorter", "type"])
def test_arrays(
    name: str, change: str, parts: tuple[dict[str, np.ndarray], dict[str, str]], tmp_path: Path
) -> None:
    arrays, metadata = dict(parts[0]), parts[1]
    array = arrays.pop(name)
    if change == "longer":
        arrays[name] = np.append(array, array[-1:])
    elif change == "shorter":
        arrays[name] = array[:-1]
    elif change == "type":
        arrays[name] = array.astype(np.float32 if array.dtype != np.float32 else np.uint8)
    with pytest.raises(TicketError):
        open_file(pack(arrays, metadata), tmp_path)


@pytest.mark.parametrize("extra", [0, 1, 2**32 - 1])
def test_a_code_word_too_many(
    extra: int, parts: tuple[dict[str, np.ndarray], dict[str, str]], tmp_path: Path
) -> None:
    arrays, metadata = parts
    longer = {**arrays, "code": np.append(arrays["code"], np.uint32(extra))}
    with pytest.raises(TicketError, match="canonical|damaged|counts say"):
        open_file(pack(longer, metadata), tmp_path)


def test_an_additional_array(parts: tuple[dict[str, np.ndarray], dict[str, str]], tmp_path: Path) -> None:
    arrays, metadata = parts
    hidden = {**arrays, "\x1b[31mx\ny": np.zeros(1, np.uint8)}
    with pytest.raises(TicketError, match="holds code, counts and statistics, got") as raised:
        open_file(pack(hidden, metadata), tmp_path)
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)
