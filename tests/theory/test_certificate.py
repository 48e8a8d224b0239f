"""Certificates: what is refused, and that what is shown always holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from construction_helpers import (
    EVERY,
    TARGETS,
    altered,
    certificate_options,
    drawn,
    farthest,
    made,
    pairs,
    sequential,
)
from effective_reference import effective, parameter_error, plain_layers
from torch import nn

import tombola
from tombola.errors import ArgumentError, TicketError
from tombola.theory import certify, check, construct, model_of
from tombola.theory.layout import DrawnNetwork
from tombola.ticket import Ticket

NAME = "biases"
every_construction = pytest.mark.parametrize("construction", EVERY)


def refused(message: str, name: str, ticket: Ticket, error: float = 1e9, target: Any = None) -> None:
    with pytest.raises(TicketError) as caught:
        check(target or TARGETS[name].build(), ticket, error, **certificate_options(name))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def modules_of(ticket: Ticket) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ticket.metadata["construction"])
    return found


@every_construction
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_a_kept_weight_less_is_noticed(construction: str, density: float) -> None:
    result = made(NAME, construction, density)
    weights = result.ticket.weights()
    # Of one extra layer the last: the others have copies that nothing reads.
    second = [name for name in weights if name.endswith("weight") and name != "0.weight"]
    for name in second[-1:] if construction == "one_extra_layer" else ["2.weight", second[-1]]:
        mask = result.ticket.mask[name].copy()
        mask[np.unravel_index(np.abs(weights[name]).argmax(), mask.shape)] = False
        other = altered(result.ticket, {name: mask})
        refused("the error over the box is shown to be at most", NAME, other, result.error_bound)
        shown = certify(TARGETS[NAME].build(), other)
        assert shown.error > result.error_bound
        assert farthest(TARGETS[NAME].build(), model_of(other), NAME) <= shown.error


@every_construction
@pytest.mark.parametrize("seed", range(20))
def test_any_other_mask_is_refused_or_its_bound_holds(construction: str, seed: int) -> None:
    result = made(NAME, construction, 0.5, "erk")
    random = np.random.default_rng(seed)
    names = sorted(result.ticket.mask)
    name = names[seed % len(names)]
    source, mask = result.ticket.recipe.mask()[name], result.ticket.mask[name].copy()
    cells = np.flatnonzero(source if seed % 3 else mask)
    chosen = random.choice(cells, 3, replace=False) if len(cells) > 2 else cells
    mask.flat[chosen] ^= True
    other = altered(result.ticket, {name: mask})
    try:
        shown = certify(TARGETS[NAME].build(), other)
    except TicketError as error:
        assert "\n" not in str(error)
    else:
        assert farthest(TARGETS[NAME].build(), model_of(other), NAME) <= shown.error


@every_construction
def test_a_smaller_error_than_shown_is_refused(construction: str) -> None:
    result = made(NAME, construction)
    refused("is shown to be at most", NAME, result.ticket, float(np.nextafter(result.error_bound, 0)))
    refused("is shown to be at most", NAME, result.ticket, float("nan"))
    refused("is shown to be at most", NAME, result.ticket, -1.0)


@pytest.mark.parametrize("error", ["a", None, True, [1.0], 1j, np.ones(2)])
def test_an_error_that_is_no_number(error: Any) -> None:
    with pytest.raises(ArgumentError, match="error must be a number, got"):
        check(TARGETS[NAME].build(), made(NAME, "two_layers").ticket, error)


@pytest.mark.parametrize("ticket", [None, "x.tombola", 5])
def test_a_ticket_that_is_none(ticket: Any) -> None:
    target = TARGETS[NAME].build()
    for call in (lambda: check(target, ticket, 1.0), lambda: certify(target, ticket)):
        with pytest.raises(ArgumentError, match="ticket must be a Ticket, got"):
            call()


@every_construction
def test_another_target_is_refused(construction: str) -> None:
    result, arrays = made(NAME, construction), pairs([5, 6, 3])
    other = pairs([5, 6, 3], seed=9)
    refused("is shown to be at most", NAME, result.ticket, result.error_bound, other)
    (first, offset), (second, last) = arrays
    assert offset is not None and last is not None
    changed: list[Any] = [
        [(first, offset), (second[:2], last[:2])],  # the ticket has an output more
        [(first, offset), (np.vstack([second, second]), np.hstack([last, last]))],
        [(first, offset)],
        [(first[:, :4], offset), (second, last)],
        [(first[:5], offset[:5]), (second[:, :5], last)],
        [*arrays, (np.eye(3), None)],
        nn.Sequential(*sequential(arrays), nn.ReLU()),
        nn.Sequential(*[module for module in sequential(arrays) if isinstance(module, nn.Linear)]),
        drawn(nn.Conv2d(5, 6, 1), nn.ReLU(), nn.Conv2d(6, 3, 1)),
    ]
    for target in changed:
        refused("the ticket is ", NAME, result.ticket, target=target)


@every_construction
def test_another_convolution_is_refused(construction: str) -> None:
    name = "padding, no bias"
    ticket = made(name, construction).ticket
    weight = TARGETS[name].build()[0]
    for options in ({"stride": 2, "padding": 1}, {"padding": 2}, {"padding": 1, "dilation": 2}, {}):
        other = nn.Conv2d(1, 2, 2, bias=False, **options).double()  # type: ignore[arg-type]
        other.load_state_dict(weight.state_dict())
        refused("the ticket is for another target", name, ticket, target=nn.Sequential(other))


@every_construction
def test_a_digest_that_is_not_the_network_s_is_refused(construction: str) -> None:
    contents = made(NAME, construction).ticket._contents
    refused("the network rebuilt has digest", NAME, Ticket(replace(contents, digest="0" * 64)))


def test_an_ordinary_ticket_is_refused() -> None:
    source = tombola.Source(sequential(pairs([5, 6, 3])).float(), seed=0)
    ticket = Ticket.from_mask(source, source.mask)
    refused("the ticket is no construction: its metadata describe none", NAME, ticket)
    with pytest.raises(TicketError, match="describe no construction"):
        model_of(ticket)


@every_construction
@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "5",
        "null",
        "[5]",
        "[[]]",
        '["affine"]',
        "[{}]",
        '[{"kind": "softmax"}]',
        '[{"kind": "affine"}]',
        '[{"kind": "affine", "inputs": 3, "outputs": -3}]',
        '[{"kind": "affine", "inputs": Infinity, "outputs": 3}]',
        '[{"kind": "affine", "inputs": NaN, "outputs": 3}]',
        '[{"kind": "affine", "inputs": "a", "outputs": 3}]',
        '[{"kind": "affine", "inputs": 1, "outputs": 1, "convolution": {}}]',
        '[{"kind": "affine", "inputs": 1, "outputs": 1, "convolution": {"kernel": [1]}}]',
        '[{"kind": "affine", "inputs": 1, "outputs": 1, "convolution": {"kernel": [1, 1], "x": [1, 1]}}]',
        "[" * 5000,
    ],
)
def test_metadata_that_describe_nothing(construction: str, text: str) -> None:
    other = altered(made(NAME, construction).ticket, construction=text)
    refused("", NAME, other)
    with pytest.raises(TicketError) as caught:
        model_of(other)
    assert "\n" not in str(caught.value)


@every_construction
@pytest.mark.parametrize("name", [NAME, "stride and padding", "conv, flatten, linear"])
def test_other_modules_are_refused(construction: str, name: str) -> None:
    ticket = made(name, construction).ticket
    modules = modules_of(ticket)
    changed: list[list[dict[str, Any]]] = [[]]
    for place, module in enumerate(modules):
        changed.append(modules[:place] + modules[place + 1 :])
        for kind in ("relu", "gain", "flatten"):
            changed.append([*modules[:place], {"kind": kind}, *modules[place:]])
            changed.append([*modules[: place + 1], {"kind": kind}, *modules[place + 1 :]])
            if module["kind"] != kind:
                changed.append([*modules[:place], {"kind": kind}, *modules[place + 1 :]])
        if module["kind"] == "affine":
            options = [{"inputs": module["inputs"] + 1}, {"outputs": 10**12}]
            if modules[place + 1]["kind"] == "gain":  # a univariate module has no copies
                options += [{"copies": copies} for copies in (-1, 2, 10**9) if copies != module["copies"]]
            if "convolution" in module:
                moves = module["convolution"]
                options += [{"convolution": moves | {"stride": [3, 1]}}]
                options += [{"convolution": moves | {"padding": [5, 5]}}]
                options += [{"convolution": moves | {"dilation": [1, 4]}}]
                options += [{"convolution": None}]
            else:
                options += [{"convolution": {"kernel": [1, 1]}}]
            for option in options:
                changed.append([*modules[:place], module | option, *modules[place + 1 :]])
    for other in changed:
        refused("the ticket", name, altered(ticket, construction=json.dumps(other)))


@every_construction
def test_a_leading_flatten_changes_nothing_before_a_linear_layer(construction: str) -> None:
    plain = TARGETS[NAME].build()
    flattens = nn.Sequential(nn.Flatten(), *plain)
    tickets = [construct(target, construction=construction).ticket for target in (plain, flattens)]
    expected = certify(plain, tickets[0])
    assert expected.error < 1.0
    for target in (plain, flattens):
        for ticket in tickets:
            found = certify(target, ticket)
            check(target, ticket, found.error)
            assert found.parameter_error <= 0.01
            if ticket is tickets[0]:
                assert found == expected


@every_construction
def test_a_flatten_elsewhere_is_another_target(construction: str) -> None:
    spatial = nn.Sequential(nn.Conv2d(6, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
    linear = made("flatten first", construction).ticket
    with pytest.raises(TicketError, match="it flattens or has its ReLUs elsewhere"):
        certify(spatial, linear)
    within = nn.Sequential(nn.Linear(6, 4), nn.Flatten(), nn.ReLU(), nn.Linear(4, 2))
    with pytest.raises(TicketError, match="it flattens or has its ReLUs elsewhere"):
        certify(within, linear)


@every_construction
def test_a_model_that_metadata_claim_is_not_built(construction: str) -> None:
    ticket = made(NAME, construction).ticket
    modules = modules_of(ticket)
    modules[0] |= {"inputs": 10**9, "outputs": 10**9}
    with pytest.raises(TicketError, match="not what its metadata describe"):
        model_of(altered(ticket, construction=json.dumps(modules)))


@every_construction
def test_a_bias_of_another_shape_is_refused(construction: str) -> None:
    ticket = made("no biases", construction).ticket
    recipe = ticket.recipe
    tensors = tuple(
        tombola.source.recipe.RandomTensor("0.bias", (1,), 5) if tensor.name == "0.bias" else tensor
        for tensor in recipe.tensors
    )
    network = DrawnNetwork(type(recipe)(recipe.seed, recipe.init, tensors, recipe.fixed), {})
    masks = {name: ticket.mask[name] for name in ticket.mask} | {"0.bias": np.zeros(1, bool)}
    refused(
        "is not what its metadata describe",
        "no biases",
        Ticket.from_mask(network, masks, metadata=ticket.metadata),
    )


@every_construction
def test_a_second_edge_of_a_univariate_neuron_is_refused(construction: str) -> None:
    ticket = made(NAME, construction).ticket
    mask, second = ticket.mask["0.weight"].copy(), ticket.mask["2.weight"]
    neuron = int(np.flatnonzero(mask.any(axis=1) & second.any(axis=0))[0])
    mask[neuron] = True
    refused("a neuron of its univariate layer has other edges", NAME, altered(ticket, {"0.weight": mask}))
    bias = ticket.mask["0.bias"].copy()
    bias[neuron] = True
    refused("a neuron of its univariate layer has other edges", NAME, altered(ticket, {"0.bias": bias}))


@pytest.mark.parametrize("construction", ["two_layers", "one_extra_layer"])
def test_a_constant_at_the_padding_is_refused(construction: str) -> None:
    name = "odd kernels"
    ticket = made(name, construction).ticket
    mask = ticket.mask["2.weight"].copy()
    constant = int(np.flatnonzero(ticket.mask["0.bias"])[0])
    assert mask[:, constant, 1].any() and not mask[:, constant, [0, 2]].any()
    mask[0, constant, 0] = True
    other = altered(ticket, {"2.weight": mask})
    refused("a constant is read where there may be padding", name, other)
    with pytest.raises(TicketError, match="a constant is read where there may be padding"):
        certify(TARGETS[name].build(), ticket)  # input_shape not given


def test_a_constant_with_an_edge_is_refused() -> None:
    ticket = made(NAME, "one_extra_layer").ticket
    mask, read = ticket.mask["2.weight"].copy(), ticket.mask["5.weight"]
    copies = modules_of(ticket)[2]["copies"]
    constant = int(np.flatnonzero(read.any(axis=0) & (np.arange(read.shape[1]) >= 6 * copies))[0])
    mask[constant, 0] = True
    other = altered(ticket, {"2.weight": mask})
    refused("a neuron that is read is neither copy nor constant", NAME, other)


def test_a_constant_below_0_where_there_is_no_relu() -> None:
    name = "no relu between"
    ticket = made(name, "one_extra_layer").ticket
    values, mask = ticket.recipe.initial(ticket.recipe.tensors[3]), ticket.mask["2.bias"].copy()
    assert ticket.recipe.tensors[3].name == "2.bias"
    constant = len(values) - 1 - int(np.flatnonzero(values[::-1] < -0.5)[0])
    edges = ticket.mask["4.weight"].copy()
    mask[constant], edges[0, constant] = True, True
    other = altered(ticket, {"2.bias": mask, "4.weight": edges})
    layers = plain_layers(TARGETS[name].build())
    wanted = parameter_error(layers, effective(other, layers), signed=True)
    assert wanted > made(name, "one_extra_layer").parameter_error
    assert certify(TARGETS[name].build(), other).parameter_error == pytest.approx(wanted, rel=1e-6)
