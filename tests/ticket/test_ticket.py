"""Ticket: making, loading, applying, verifying; what it says of itself and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tombola
from builders import CASES, LayerNormMLP, conv_batch_norm, make_optimizer, train
from tombola import ArgumentError, Source, Ticket, TicketError
from tombola.ticket.container import pack, unpack


@pytest.fixture(scope="module")
def ticket() -> Ticket:
    """An IteRand ticket with several generations, statistics and an ER source."""
    model = conv_batch_norm()
    source = Source(model, seed=1, init="kaiming_normal", density=0.7)
    search = tombola.IteRand(source, 0.4, period=1, rate=0.3)
    train(CASES["conv"], model, search, make_optimizer(search), range(4))
    return search.ticket({"dataset": "none"})


@pytest.fixture(scope="module")
def file(ticket: Ticket, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("ticket") / "a.tombola"
    ticket.save(path)
    return path.read_bytes()


def load(data: bytes, folder: Path) -> Ticket:
    (folder / "b.tombola").write_bytes(data)
    return Ticket.load(folder / "b.tombola")


def test_what_it_says_of_itself(ticket: Ticket, file: bytes) -> None:
    assert ticket.seed == 1
    assert ticket.nbytes == len(file)
    assert ticket.density == ticket.mask.kept / ticket.mask.total
    assert ticket.bits_per_weight == 8 * len(file) / ticket.mask.total
    assert ticket.metadata == {"dataset": "none"}
    assert set(ticket.statistics) == {f"{n}.running_{k}" for n in "14" for k in ("mean", "var")}
    # The last round's are all pruned: nothing has selected since.
    assert {g for values in ticket.redraws.values() for g in values.tolist()} == {0, 1, 2, 3}
    assert repr(ticket).startswith("Ticket(seed=1, 768 weights, density 0.39")


def test_weights_are_zero_where_pruned_and_never_elsewhere(ticket: Ticket) -> None:
    for name, values in ticket.weights().items():
        assert values.dtype == np.float32
        assert np.array_equal(values != 0, ticket.mask[name])


def test_digest_is_the_documented_hash() -> None:
    import hashlib

    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    ticket = tombola.EdgePopup(Source(model), 0.5).ticket()
    digest = hashlib.sha256()
    for name, values in (
        ("0.weight", ticket.weights()["0.weight"]),
        ("0.bias", np.zeros(3)),
        ("1.weight", np.ones(3)),
        ("1.bias", np.zeros(3)),
        ("1.running_mean", np.zeros(3)),
        ("1.running_var", np.ones(3)),
    ):
        for text in (name.encode(), ",".join(map(str, values.shape)).encode()):
            digest.update(len(text).to_bytes(8, "little") + text)
        digest.update(values.astype("<f4").tobytes())
    assert ticket.digest == digest.hexdigest()


def test_verify(ticket: Ticket) -> None:
    ticket.verify()
    ticket.verify(ticket.digest)
    ticket.verify(ticket.digest.upper())
    with pytest.raises(TicketError, match=f"has digest {ticket.digest}, but the expected one is 00"):
        ticket.verify("0" * 64)
    for wrong in ("", "00", f"{ticket.digest} ", f"{ticket.digest}0"):
        with pytest.raises(
            TicketError, match=f"must be 64 hex digits, got .*; the network's is {ticket.digest}"
        ):
            ticket.verify(wrong)


def test_verify_notices_another_network_behind_a_right_checksum(file: bytes, tmp_path: Path) -> None:
    arrays, metadata = unpack(file)
    recipe = arrays["recipe"].tobytes()
    renamed = recipe.replace(b"bias", b"bios", 1)
    assert renamed != recipe
    forged = pack({**arrays, "recipe": np.frombuffer(renamed, dtype=np.uint8)}, metadata)
    with pytest.raises(TicketError, match="but the stored one is"):
        load(forged, tmp_path).verify()


def test_apply_names_the_first_tensor_that_differs(ticket: Ticket) -> None:
    other = conv_batch_norm()
    assert isinstance(other, nn.Sequential)
    other[3] = nn.Conv2d(8, 7, 3, stride=2)
    before = [p.detach().clone() for p in other.parameters()]
    with pytest.raises(
        TicketError,
        match=r"'3.weight' has shape \(7, 8, 3, 3\) in the model and \(6, 8, 3, 3\) in the ticket",
    ):
        ticket.apply(other)
    assert all(torch.equal(p, q) for p, q in zip(other.parameters(), before, strict=True))


def test_apply_refuses_missing_and_additional_tensors(ticket: Ticket) -> None:
    with pytest.raises(
        TicketError, match=r"'fc1.weight' has shape \(24, 12\), the ticket has no such tensor"
    ):
        ticket.apply(LayerNormMLP())
    smaller = conv_batch_norm()
    assert isinstance(smaller, nn.Sequential)
    with pytest.raises(TicketError, match=r"has parameter '6.weight' of shape \(5, 24\), the model has no"):
        ticket.apply(smaller[:6])
    smaller[4] = nn.BatchNorm2d(6, track_running_stats=False)
    with pytest.raises(TicketError, match="it has statistic '4[.]running_mean' of shape"):
        ticket.apply(smaller)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_apply_wants_a_model_that_holds_float32(kind: torch.dtype, ticket: Ticket) -> None:
    with pytest.raises(TicketError, match=f"'0.weight' of the model is {kind}: apply a ticket to a float32"):
        ticket.apply(conv_batch_norm().to(kind))
    exact = ticket.apply(conv_batch_norm().double()).state_dict()
    assert all(np.array_equal(exact[name].numpy(), values) for name, values in ticket.weights().items())


def test_fitting_is_checked_without_memory(ticket: Ticket) -> None:
    with torch.device("meta"):
        ticket.check_fits(conv_batch_norm())
        with pytest.raises(TicketError, match="'fc1.weight' has shape"):
            ticket.check_fits(LayerNormMLP())


def test_apply_wants_a_plain_model(ticket: Ticket) -> None:
    model = conv_batch_norm()
    Source(model)
    with pytest.raises(TicketError, match="has a Source attached: apply a ticket to a plain model"):
        ticket.apply(model)


def test_from_mask_takes_any_mask_of_the_source() -> None:
    source = Source(LayerNormMLP(), seed=9)
    mask = {name: np.ones(shape, dtype=bool) for name, shape in source.shapes.items()}
    mask["fc2.weight"][0] = False
    ticket = Ticket.from_mask(source, mask)
    expected = source.weights()
    expected["fc2.weight"][0] = 0
    assert all(np.array_equal(values, expected[name]) for name, values in ticket.weights().items())


def test_from_mask_takes_generations() -> None:
    source = Source(LayerNormMLP(), seed=9)
    ones = {name: np.full(shape, 3) for name, shape in source.shapes.items()}
    ticket = Ticket.from_mask(source, source.mask, {"fc1.weight": ones["fc1.weight"]})
    source.restore({"fc1.weight": ones["fc1.weight"].astype(np.int32), "fc2.weight": None})
    assert all(np.array_equal(values, source.weights()[name]) for name, values in ticket.weights().items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mask": {"fc3.weight": [True]}}, "mask names 'fc3.weight', which the source does not have"),
        ({"mask": {}}, r"mask 'fc1.weight': expected shape \(24, 12\), got nothing"),
        ({"mask": {"fc1.weight": [[True]]}}, r"expected shape \(24, 12\), got shape \(1, 1\)"),
        ({"mask": "all"}, r"mask 'fc1.weight' keeps \d+ weights outside of the source"),
        ({"generations": {"x": [1]}}, "generations names 'x', which the source does not have"),
        (
            {"generations": {"fc1.weight": [1]}},
            r"expected integers in .* of shape \(24, 12\), got int64",
        ),
        ({"generations": {"fc1.weight": np.full((24, 12), -1)}}, "got values from -1 to -1"),
        ({"generations": {"fc1.weight": np.full((24, 12), 2**32 + 5)}}, "got values from 4294967301"),
        ({"metadata": {"a": 1}}, "metadata must map strings to strings, got 'a': 1"),
    ],
)
def test_from_mask_refuses_what_does_not_fit(arguments: dict[str, Any], message: str) -> None:
    source = Source(LayerNormMLP(), density=0.5)
    whole = {name: np.ones(shape, dtype=bool) for name, shape in source.shapes.items()}
    given = {"mask": source.mask, **arguments}
    if given["mask"] == "all":
        given["mask"] = whole
    with pytest.raises(ArgumentError, match=message):
        Ticket.from_mask(source, **given)


def test_errors_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(TicketError, match=r"b\.tombola: not a Tombola ticket"):
        load(b"nothing", tmp_path)
    with pytest.raises(FileNotFoundError):
        Ticket.load(tmp_path / "none.tombola")


def test_reading_needs_no_torch(file: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tombola").write_bytes(file)
    code = f"""
import sys
sys.modules["torch"] = None  # any import of torch fails
from tombola.ticket import Ticket
import tombola
ticket = tombola.Ticket.load({str(tmp_path / "a.tombola")!r})
ticket.verify()
assert ticket.weights()["0.weight"].shape == (8, 3, 3, 3)
for use in (lambda: tombola.Source, lambda: ticket.apply(None)):
    try:
        use()
    except tombola.TombolaError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("pip install 'tombola[torch]'") == 2


def test_apply_wants_the_models_own_statistics() -> None:
    bare = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False))
    ticket = tombola.EdgePopup(Source(bare), 0.5).ticket()
    with pytest.raises(TicketError, match="statistic '1.running_mean' has shape"):
        ticket.apply(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)))


def test_statistics_that_no_file_can_hold() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    search = tombola.EdgePopup(Source(model), 0.5)
    dict(model.named_buffers())["1.running_var"][0] = torch.inf
    with pytest.raises(ArgumentError, match="statistic '1.running_var' holds a value that is not finite"):
        search.ticket()


def test_changing_what_a_ticket_hands_out_changes_no_ticket() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    source = Source(model)
    search = tombola.EdgePopup(source, 0.5)
    source.detach()
    ticket = search.ticket()
    source.statistics()["1.running_mean"][:] = 9
    ticket.statistics["1.running_mean"][:] = 9
    ticket.redraws["0.weight"][:] = 9
    ticket.verify()


def test_a_changed_buffer_that_no_ticket_stores_is_named() -> None:
    model = LayerNormMLP()
    model.register_buffer("centre", torch.zeros(3))
    search = tombola.EdgePopup(Source(model), 0.5)
    dict(model.named_buffers())["centre"] += 1
    with pytest.warns(UserWarning, match="does not store have changed .* centre"):
        search.ticket()


def test_saving_on_a_full_disk_leaves_the_old_file(ticket: Ticket, file: bytes, tmp_path: Path) -> None:
    # A limit on the size of files stands for the disk: the write itself fails, half-way.
    (tmp_path / "new.tombola").write_bytes(file)
    (tmp_path / "old.tombola").write_bytes(b"the old file")
    code = f"""
import resource
from tombola.ticket import Ticket
ticket = Ticket.load({str(tmp_path / "new.tombola")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(file) // 2}, {len(file) // 2}))
try:
    ticket.save({str(tmp_path / "old.tombola")!r})
except OSError as error:
    print(error.filename)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'old.tombola'}\n"), done.stderr
    assert (tmp_path / "old.tombola").read_bytes() == b"the old file"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.tombola", "old.tombola"]


def test_networks_that_no_ticket_can_describe() -> None:
    model = nn.ModuleDict({"x" * 1024: nn.Linear(2, 3)})
    source = Source(model)
    with pytest.raises(ArgumentError, match="no ticket can hold this network: .* hold a number above 1024"):
        Ticket.from_mask(source, source.mask)


def test_the_longest_metadata_can_be_read_again(tmp_path: Path) -> None:
    source = Source(LayerNormMLP())
    keys = ["".join(map(chr, key)) for key in product(range(32), repeat=3)]
    long = {**dict.fromkeys(keys, ""), "rest": "\0" * ((1 << 20) - 3 * len(keys) - 4)}
    Ticket.from_mask(source, source.mask, metadata=long).save(tmp_path / "a.tombola")
    assert Ticket.load(tmp_path / "a.tombola").metadata == long
    with pytest.raises(ArgumentError, match="metadata must not exceed 1048576 bytes, got 1048577"):
        Ticket.from_mask(source, source.mask, metadata={**long, "rest": long["rest"] + "x"})


def test_a_layer_without_inputs(tmp_path: Path) -> None:
    source = Source(nn.Sequential(nn.Linear(0, 3), nn.Linear(3, 2)))
    Ticket.from_mask(source, source.mask).save(tmp_path / "a.tombola")
    assert Ticket.load(tmp_path / "a.tombola").weights()["0.weight"].shape == (3, 0)


def test_tickets_without_any_weight(tmp_path: Path) -> None:
    source = Source(nn.Sequential(nn.Linear(0, 3, bias=False)))
    Ticket.from_mask(source, source.mask).save(tmp_path / "a.tombola")
    empty = Ticket.load(tmp_path / "a.tombola")
    empty.verify()
    assert (empty.bits_per_weight, empty.density) == (0.0, 0.0)
    assert repr(empty).startswith("Ticket(seed=0, 0 weights")


def test_more_generations_than_a_ticket_tells_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tombola.ticket.fit.MAX_SYMBOLS", 2)
    source = tombola.Source(nn.Linear(4, 1), init="uniform")
    with pytest.raises(ArgumentError, match="generations 'weight': at most 2 different ones, got 4"):
        Ticket.from_mask(source, source.mask, {"weight": [[0, 1, 2, 3]]})
