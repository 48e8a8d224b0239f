"""Edge-popup: train scores, keep the weights whose scores are highest.

Ramanujan et al., "What's hidden in a randomly weighted neural network?", CVPR 2020; the
weight-pruning optimisation of paper A (Chijiwa et al. 2021).
"""

from __future__ import annotations

from tombola.search.base import Search


class EdgePopup(Search):
    """Layer l keeps exactly its k_l weights of highest score; weights never change.

    The forward pass uses W ⊙ M, the gradient goes straight through: ∂L/∂s = ∂L/∂(W ⊙ M) ⊙ W
    (Ramanujan et al. 2020, section 3). Parameters as in `Search`.
    """
