"""Sparse training: weak tickets, whose weights are trained, from a dense or an Erdős–Rényi source.

Paper B (Gadhikar, Mukherjee and Burkholz 2023): any scheme from dense to sparse may start from, and be
confined to, a random sparse network. Every method here works in the user's own loop, as a search does.
"""

from typing import TYPE_CHECKING

from tombola._lazy import attributes

if TYPE_CHECKING:
    from tombola.sparse.base import SparseTraining as SparseTraining
    from tombola.sparse.checks import shuffled as shuffled
    from tombola.sparse.files import load as load
    from tombola.sparse.gradual import Gradual as Gradual
    from tombola.sparse.imp import IMP as IMP
    from tombola.sparse.one_shot import grasp as grasp
    from tombola.sparse.one_shot import magnitude as magnitude
    from tombola.sparse.one_shot import random as random
    from tombola.sparse.one_shot import snip as snip
    from tombola.sparse.one_shot import synflow as synflow
    from tombola.sparse.rigl import RigL as RigL
    from tombola.sparse.set import SET as SET
    from tombola.sparse.static import Static as Static

__getattr__, __dir__, __all__ = attributes(
    __name__,
    {
        "Gradual": "tombola.sparse.gradual",
        "IMP": "tombola.sparse.imp",
        "RigL": "tombola.sparse.rigl",
        "SET": "tombola.sparse.set",
        "SparseTraining": "tombola.sparse.base",
        "Static": "tombola.sparse.static",
        "grasp": "tombola.sparse.one_shot",
        "load": "tombola.sparse.files",
        "magnitude": "tombola.sparse.one_shot",
        "random": "tombola.sparse.one_shot",
        "shuffled": "tombola.sparse.checks",
        "snip": "tombola.sparse.one_shot",
        "synflow": "tombola.sparse.one_shot",
    },
    globals(),
)
