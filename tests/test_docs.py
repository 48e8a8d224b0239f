"""The code in docs/ runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"

LOADER = """
import torch
g = torch.Generator().manual_seed(0)
loader = [(torch.randn(8, 1, 8, 8, generator=g), torch.randint(10, (8,), generator=g)) for _ in range(12)]
"""


@pytest.mark.parametrize("page", ["sparse.md", "theory.md"])
def test_the_examples_of_a_page_run_one_after_the_other(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)
    assert blocks
    done = subprocess.run(
        [sys.executable, "-c", LOADER + "\n".join(blocks)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
