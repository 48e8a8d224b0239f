"""Names of run folders: readable where they can be, never two alike."""

from __future__ import annotations

from pathlib import Path

from tombola.experiments.sweep.names import folder_name


def test_readable_names() -> None:
    assert folder_name({"width": 0.5, "lr": 1e-5, "bias": True, "period": None, "seed": 0}) == (
        "width=0.5,lr=1e-05,bias=true,period=none,seed=0"
    )


def test_what_no_file_system_may_see_is_hashed() -> None:
    values = ["a/b", "c/b", "Module:net", "module:net", "../..", "x\ny", "é", "a b", Path("/data/b")]
    names = [folder_name({"data": value, "seed": 0}) for value in values]
    assert len({name.lower() for name in names}) == len(values)
    for name in names:
        assert "/" not in name
        assert name.isprintable()
        assert name.isascii()
    assert names[0].startswith("data=b,seed=0-")


def test_no_value_looks_like_another_option() -> None:
    for value in ("x", "X"):
        one = folder_name({"data": f"{value},lr=0.1", "seed": 0})
        assert one != folder_name({"data": value, "lr": 0.1, "seed": 0})


def test_long_names_are_cut_and_differ() -> None:
    many = {f"option{number}": 0.123456789 for number in range(20)}
    names = {folder_name({**many, "seed": seed}) for seed in range(3)}
    assert len(names) == 3
    assert all(len(name) < 100 for name in names)
