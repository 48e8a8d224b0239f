"""`verify` and `inspect`: what a ticket's file says, and that no byte of it can change unseen."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import CASES, make_optimizer, make_search, train
from commands import finished, refusal, ticket_of, tombola
from tombola import Source, Ticket, cli


@pytest.fixture(scope="module")
def ticket(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ticket with everything that a file can hold: redrawn weights, statistics, metadata."""
    case = CASES["conv"]
    model = case.build()
    search = make_search("IteRand", Source(model, seed=3))
    train(case, model, search, make_optimizer(search), range(4))
    path = tmp_path_factory.mktemp("tickets") / "t.tombola"
    made = search.ticket({"name": "höhe", "note": "[bold]x"})
    assert any(generations.any() for generations in made.redraws.values())
    assert made.statistics
    made.save(path)
    return path


def test_a_good_ticket(ticket: Path) -> None:
    ended = tombola("verify", ticket)
    assert (ended.status, ended.err) == (0, "")
    assert Ticket.load(ticket).digest in ended.out
    ended = tombola("verify", ticket, "--json")
    assert json.loads(ended.out) == {"verified": True, "digest": Ticket.load(ticket).digest}


@pytest.mark.parametrize("spelt", [str.lower, str.upper])
def test_the_right_digest(ticket: Path, spelt: Callable[[str], str]) -> None:
    assert tombola("verify", ticket, "--digest", spelt(Ticket.load(ticket).digest)).status == 0


@pytest.mark.parametrize("wrong", ["0" * 64, "", "not a digest"])
def test_a_wrong_digest(ticket: Path, wrong: str) -> None:
    ended = tombola("verify", ticket, f"--digest={wrong}")
    assert (ended.status, ended.out) == (1, "")
    assert Ticket.load(ticket).digest in ended.complaint


def test_a_digest_of_another_ticket(ticket: Path) -> None:
    other = ticket_of(finished()).digest
    assert other in tombola("verify", ticket, "--digest", other).complaint


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80, 0xFF])
def test_any_one_byte_changed(ticket: Path, tmp_path: Path, flip: int) -> None:
    """Every byte: header length, header, checksum and digest digits, counts, code words, statistics."""
    good, path = ticket.read_bytes(), tmp_path / "t.tombola"
    unseen = []
    for position in range(flip % 3, len(good), 3) if flip != 1 else range(len(good)):
        bad = bytearray(good)
        bad[position] ^= flip
        path.write_bytes(bad)
        if tombola_verify(path) != 1:
            unseen.append(position)
    assert unseen == []


def tombola_verify(path: Path) -> int:
    """`verify` without the parser, which takes longer than the work; errors would be raised here."""
    from contextlib import redirect_stderr
    from io import StringIO

    with redirect_stderr(StringIO()):
        return cli.verify(path)


@pytest.mark.parametrize(
    "where",
    ["header length", "recipe", "checksum", "digest", "metadata.note", "counts", "code", "statistics"],
)
def test_a_changed_byte_through_the_command(ticket: Path, tmp_path: Path, where: str) -> None:
    good, path = ticket.read_bytes(), tmp_path / "t.tombola"
    size = int.from_bytes(good[:8], "little")
    arrays = json.loads(good[8 : 8 + size])
    at = {
        "header length": 0,
        **{n: good.index(f'"{n}":"'.encode()) + len(n) + 5 for n in ("checksum", "digest", "metadata.note")},
        **{n: 8 + size + arrays[n]["data_offsets"][0] for n in ("counts", "code", "recipe", "statistics")},
    }[where]
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    ended = tombola("verify", path)
    assert (ended.status, ended.out) == (1, "")
    assert ended.complaint.startswith(f"{path}: ")
    ended = tombola("verify", path, "--json")
    assert ended.status == 1
    assert json.loads(ended.out) == {"verified": False, "error": ended.complaint}
    assert refusal("inspect", path)  # which does not check for its own sake: bad input


@pytest.mark.parametrize("change", [lambda d: d[:-1], lambda d: d[:50], lambda d: b"", lambda d: d + b"\0"])
def test_a_longer_or_shorter_file(ticket: Path, tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "t.tombola"
    path.write_bytes(change(ticket.read_bytes()))
    ended = tombola("verify", path)
    assert (ended.status, ended.out) == (1, "")
    assert str(path) in ended.complaint


def test_inspect_shows_every_tensor_whole(ticket: Path) -> None:
    ended = tombola("inspect", ticket)
    assert (ended.status, ended.err) == (0, "")
    loaded = Ticket.load(ticket)
    for name in loaded.mask:
        (line,) = [line for line in ended.out.splitlines() if f" {name} " in line]
        assert f"{loaded.mask[name].size:,}" in line
        assert f"{loaded.mask[name].sum():,}" in line
    assert f"{loaded.nbytes:,}" in ended.out
    assert loaded.digest in ended.out
    assert "[bold]x" in ended.out  # no markup
    assert "höhe" in ended.out


def test_inspect_as_json(ticket: Path) -> None:
    ended = tombola("inspect", ticket, "--json")
    assert (ended.status, ended.err) == (0, "")
    said, loaded = json.loads(ended.out), Ticket.load(ticket)
    assert said["seed"] == 3
    assert said["density"] == loaded.density
    assert said["ticket_bytes"] == ticket.stat().st_size
    assert said["bits_per_weight"] == 8 * ticket.stat().st_size / loaded.mask.total
    assert said["metadata"] == {"name": "höhe", "note": "[bold]x"}
    assert said["digest"] == loaded.digest
    assert {row["name"]: row["kept"] for row in said["tensors"]} == {
        name: int(mask.sum()) for name, mask in loaded.mask.items()
    }
    assert {row["name"]: row["shape"] for row in said["tensors"]} == {
        name: list(mask.shape) for name, mask in loaded.mask.items()
    }
    assert sum(row["flips"] for row in said["tensors"]) > 0
    assert sum(row["alive"] for row in said["tensors"]) == said["alive"] == said["weights"]
    coded = sum(row["bits"] for row in said["tensors"]) / 8
    assert round(coded) == pytest.approx(said["mask_bytes"] + said["redraw_bytes"], abs=1)
    assert coded < said["ticket_bytes"]


def test_a_ticket_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    """Metadata come from whoever made the file: no control character of theirs is printed."""
    model = CASES["mlp"].build()
    made = make_search("EdgePopup", Source(model)).ticket(
        {"a\x1b[2J": "b\x1b]0;title\x07\nmetadata: fake  1"}
    )
    made.save(tmp_path / "t.tombola")
    out = tombola("inspect", tmp_path / "t.tombola").out
    assert "\x1b" not in out
    assert "\x07" not in out
    (line,) = [line for line in out.splitlines() if "fake" in line]
    assert line.startswith("metadata: a\\x1b[2J  b\\x1b]0;title\\x07\\nmetadata: fake")


def test_more_weights_than_one_wants_to_rebuild(ticket: Path) -> None:
    assert tombola("verify", ticket, "--max-weights", "10000").status == 0
    ended = tombola("verify", ticket, "--max-weights", "100")
    assert (ended.status, ended.out) == (1, "")
    assert "weights, more than max_weights, 100" in ended.complaint
    assert "weights, more than max_weights, 100" in refusal("inspect", ticket, "--max-weights", "100")


def test_inspect_shows_the_densities_of_a_sparse_source(ticket: Path, tmp_path: Path) -> None:
    source = Source(CASES["conv"].build(), density=0.5, rule="erk")
    made = make_search("EdgePopup", source, density=0.2).ticket()
    assert made.mask.kept < source.mask.kept  # or what is kept could pass for what is drawn
    made.save(tmp_path / "er.tombola")
    out = tombola("inspect", tmp_path / "er.tombola").out
    said = json.loads(tombola("inspect", tmp_path / "er.tombola", "--json").out)
    alive = {tensor.name: made.recipe.alive(tensor) for tensor in made.recipe.tensors}
    drawn = {name: float(entries.mean()) for name, entries in alive.items()}
    assert len({f"{value:.4f}" for value in drawn.values()}) == len(drawn)  # or rows could change places
    assert {row["name"]: row["source_density"] for row in said["tensors"]} == drawn
    assert said["source_density"] == source.mask.density
    shown = _column(out, "source")
    assert shown == {name: f"{drawn.get(name, source.mask.density):.4f}" for name in [*drawn, "all"]}
    assert _column(out, "alive") == {
        **{name: f"{entries.sum():,}" for name, entries in alive.items()},
        "all": f"{source.mask.kept:,}",
    }


def test_inspect_says_nothing_of_the_source_of_a_dense_ticket(ticket: Path) -> None:
    out = tombola("inspect", ticket).out
    with pytest.raises(ValueError, match="'source' is not in list"):
        _column(out, "source")
    assert set(_column(out, "alive")) == {*Ticket.load(ticket).mask, "all"}
    said = json.loads(tombola("inspect", ticket, "--json").out)
    assert {row["source_density"] for row in said["tensors"]} == {said["source_density"]} == {1.0}


def _column(out: str, name: str) -> dict[str, str]:
    """One column of the printed table, by tensor; "all" is the last row."""
    lines = [line.split() for line in out.splitlines()]
    (header,) = [line for line in lines if line[:2] == ["tensor", "shape"]]
    cells = lines[lines.index(header) + 1 :]
    last = next(number for number, line in enumerate(cells) if line[:1] == ["all"])
    rows = [line for line in cells[:last] if len(line) > 1]  # the others are rules and blanks
    # The last row has no shape.
    return {row[0]: row[header.index(name)] for row in rows} | {"all": cells[last][header.index(name) - 1]}
