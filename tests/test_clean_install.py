"""`pip install tombola` alone, in a fresh environment: tickets are read, rebuilt and verified without torch,
with the oldest packages that pyproject.toml allows as with the newest, bit for bit alike. The oldest come
with the source distribution, the newest with the wheel.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from distribution_helpers import distributions
from tombola import __version__

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
DIGESTS: dict[str, str] = json.loads((GOLDEN / "digests.json").read_text())

REBUILD = """
import json, sys
from pathlib import Path
import numpy
import tombola
from tombola.ticket import Ticket

digests = {}
for path in sorted(Path(sys.argv[1]).glob("*.tombola")):
    ticket = Ticket.load(path)
    assert sum(int((values != 0).sum()) for values in ticket.weights().values()) == ticket.mask.kept
    ticket.verify()
    digests[path.name] = ticket.digest
try:
    tombola.Source
except tombola.TombolaError as error:
    refused = str(error)
print(json.dumps({"digests": digests, "numpy": numpy.__version__, "refused": refused,
                  "torch": "torch" in sys.modules, "home": tombola.__file__}))
"""


def oldest() -> list[str]:
    """The lower bounds of the core's dependencies, as pins."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [requirement.replace(">=", "==") for requirement in project["dependencies"]]


def run(*arguments: str | Path, cwd: Path, status: int = 0) -> str:
    # Nothing of the environment that runs the tests may be found in the new one.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=cwd, check=False, env=clean)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.fixture(scope="module", params=["oldest", "newest"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a new environment's programs, with nothing but the core installed."""
    if request.param == "oldest" and sys.version_info >= (3, 13):
        pytest.skip("the oldest numpy that is supported was built for Python 3.12 and older")
    made = distributions(tmp_path_factory)
    folder = tmp_path_factory.mktemp(f"clean-{request.param}")
    venv.create(folder / "env", with_pip=True)
    programs = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin")
    pins = oldest() if request.param == "oldest" else []
    run(
        programs / "python",
        "-m",
        "pip",
        "install",
        "-q",
        "--disable-pip-version-check",
        made.source if request.param == "oldest" else made.wheel,
        *pins,
        cwd=folder,
    )
    return programs


def test_golden_tickets_are_rebuilt_without_torch(environment: Path, tmp_path: Path) -> None:
    said = json.loads(run(environment / "python", "-c", REBUILD, GOLDEN, cwd=tmp_path))
    assert said["digests"] == DIGESTS
    assert not said["torch"]
    assert said["home"].startswith(str(environment.parent))
    assert said["refused"].endswith("pip install 'tombola[torch]'")
    if "oldest" in str(environment):
        assert said["numpy"].startswith(oldest()[0].removeprefix("numpy=="))


def test_the_commands_that_need_no_torch(environment: Path, tmp_path: Path) -> None:
    for name, digest in DIGESTS.items():
        said = json.loads(run(environment / "tombola", "verify", GOLDEN / name, "--json", cwd=tmp_path))
        assert said == {"verified": True, "digest": digest}
    assert run(environment / "tombola", "--version", cwd=tmp_path) == f"tombola {__version__}\n"
    some = GOLDEN / "signed_constant-iterand.tombola"
    assert "5×192" in run(environment / "tombola", "inspect", some, cwd=tmp_path)
    assert (
        json.loads(run(environment / "tombola", "inspect", some, "--json", cwd=tmp_path))["seed"] == 2**64 - 1
    )
    out = tmp_path / "dense.safetensors"
    run(environment / "tombola", "export", some, "--out", out, cwd=tmp_path)
    assert out.stat().st_size > 4 * 1140


@pytest.mark.parametrize("command", [["search"], ["train"], ["evaluate", "TICKET"]])
def test_the_others_say_which_extra_to_install(environment: Path, tmp_path: Path, command: list[str]) -> None:
    ticket = str(GOLDEN / "uniform-iterand.tombola")
    arguments = [ticket if word == "TICKET" else word for word in command]
    complaint = run(environment / "tombola", *arguments, cwd=tmp_path, status=2)
    assert complaint.startswith("tombola: ")
    assert complaint.endswith("needs packages that are not installed: pip install 'tombola[torch]'\n")
    assert complaint.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
