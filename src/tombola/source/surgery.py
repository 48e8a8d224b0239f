"""Putting slots into modules and taking them out again: the inverse restores what was there.

torch's own removal re-registers a parameter at the end of its module; `detach_slot` also puts the
parameters back into their old order, so `state_dict` keys come as before.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.utils import parametrize

from tombola.source.parameters import Found, Place
from tombola.source.slot import Slot

_CASTING = (
    nn.Linear,
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
)


def casts_its_weights(found: Found) -> bool:
    """Whether under autocast every module that holds the parameter casts it before it computes with it."""
    forwards = [kind.forward for kind in _CASTING]
    return all(type(place.module).forward in forwards for place in found.places)


def attach_slot(found: Found, slot: Slot) -> None:
    """Put one slot at every place of a parameter; the parameter itself stays the same object."""
    for place in found.places:
        # unsafe only skips a trial forward: a slot keeps shape and type.
        parametrize.register_parametrization(place.module, place.attribute, slot, unsafe=True)
        if slot.running is not None and "forward" not in vars(type(place.module)):
            _count_forward_passes(type(place.module))


def _count_forward_passes(kind: Any) -> None:
    """Let the slots of a module know when it is its own forward pass that reads them: others, such as a
    parent that normalises a layer's weight, are to find float32 there under autocast.

    `kind` is the class that torch's parametrization makes for the module, and that its copies share.
    """
    plain = kind.forward

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        lists: Any = self.parametrizations
        # What else is parametrized is none of ours.
        own = [slots[0] for slots in lists.values() if isinstance(slots[0], Slot)]
        running = [slot.running for slot in own if slot.running is not None]
        for one in running:
            one.count += 1
        try:
            return plain(self, *args, **kwargs)
        finally:
            for one in running:
                one.count -= 1

    kind.forward, kind._plain_forward = forward, plain


def plain_forward(kind: type[nn.Module]) -> Any:
    """The `forward` that a class of modules has of itself, whether or not a slot counts its passes."""
    return vars(kind).get("_plain_forward", kind.forward)


def detach_slot(found: Found, slot: Slot) -> None:
    """Take the slot out wherever it is, leaving the weight in use in the same Parameter object."""
    for place in found.places:
        if slot_at(place) is slot:
            _own_class(place.module)
            parametrize.remove_parametrizations(place.module, place.attribute, leave_parametrized=True)
            _reorder(place)


def withdraw_slot(found: Found, slot: Slot) -> None:
    """Take the slot out wherever it is, leaving the parameter as it was put under it."""
    for place in found.places:
        if slot_at(place) is slot:
            parametrize.remove_parametrizations(place.module, place.attribute, leave_parametrized=False)
            _reorder(place)


def slot_at(place: Place) -> Slot | None:
    """The slot that is there now: a user may have taken one off, and put something else on."""
    if not parametrize.is_parametrized(place.module, place.attribute):
        return None
    lists: Any = place.module.parametrizations
    return next((each for each in lists[place.attribute] if isinstance(each, Slot)), None)


def _reorder(place: Place) -> None:
    parameters = place.module._parameters
    for attribute in place.order:
        if attribute in parameters:
            parameters[attribute] = parameters.pop(attribute)


def _own_class(module: nn.Module) -> None:
    """Give a parametrized module a class that none of its copies shares: torch's removal takes the attribute
    from the class.
    """
    shared = type(module)
    inside = {name: value for name, value in vars(shared).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(shared.__name__, shared.__bases__, inside)
