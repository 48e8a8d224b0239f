"""Nothing that others may have made is ever run: no source file could, and hostile files do not."""

from __future__ import annotations

import ast
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tombola as package
from commands import TINY, refusal, tombola, write_module
from tombola.data.decode import decode
from tombola.errors import DataError

SOURCES = Path(package.__file__).parent
# Each makes objects, or runs programs, out of what it reads.
_MODULES = "pickle cPickle _pickle cloudpickle dill joblib marshal shelve yaml subprocess runpy code ctypes"
_CALLS = """eval exec compile __import__ torch.hub.load torch.jit.load torch.export.load
torch.serialization.load
os.system os.popen os.posix_spawn os.posix_spawnp os.execv os.execve os.execvp os.execvpe os.spawnv os.spawnvp
importlib.util.spec_from_file_location pandas.read_pickle torch.load numpy.load"""
MODULES, CALLS = frozenset(_MODULES.split()), frozenset(_CALLS.split())
# The package's own modules by name; a module:function that was asked for; scikit-learn's tables.
IMPORTERS = {"_lazy.py", "models/registry.py", "data/tabular.py"}
# It asks the process for a function that is there already: with a name, CDLL would run what is in a file.
OF_THE_PROCESS = {"experiments/heap.py": "ctypes.CDLL(None)"}


def offences(path: Path, text: str) -> list[str]:
    """What a source file does that it must not."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Call) and _runs(path, node):
            found.append(ast.unparse(node))
        found += [name for name in names if name.partition(".")[0] in MODULES or name in CALLS]
    allowed = OF_THE_PROCESS.get(path.as_posix())
    if allowed is not None and text.count("ctypes") == 1 + text.count(allowed):  # the import, and these
        found = [name for name in found if name != "ctypes"]
    return found


def _runs(path: Path, call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    options = {option.arg: ast.unparse(option.value) for option in call.keywords}
    if name == "torch.load":
        return options.get("weights_only") != "True"
    if name in ("np.load", "numpy.load"):
        return options.get("allow_pickle") != "False"
    if name in ("import_module", "importlib.import_module"):
        return path.as_posix() not in IMPORTERS
    return name in CALLS or "trust_remote_code" in options or options.get("allow_pickle") == "True"


@pytest.mark.parametrize("path", sorted(p.relative_to(SOURCES) for p in SOURCES.rglob("*.py")), ids=str)
def test_no_source_file_runs_what_it_reads(path: Path) -> None:
    assert offences(path, (SOURCES / path).read_text()) == []


@pytest.mark.parametrize(
    ("path", "line", "found"),
    [
        ("experiments/heap.py", "ctypes.CDLL(None)", []),
        ("experiments/heap.py", "ctypes.CDLL(path)", ["ctypes"]),
        ("experiments/heap.py", "ctypes.CDLL(None), ctypes.CDLL('libc.so')", ["ctypes"]),
        ("experiments/heap.py", "ctypes.cdll.LoadLibrary(path)", ["ctypes"]),
        ("experiments/loop.py", "ctypes.CDLL(None)", ["ctypes"]),
    ],
)
def test_a_library_of_the_process_itself_is_no_file(path: str, line: str, found: list[str]) -> None:
    assert offences(Path(path), f"import ctypes\n{line}\n") == found


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "import os, pickle as p",
        "from pickle import loads",
        "import yaml.loader",
        "from os import system",
        "from torch.hub import load",
        "from torch import load",
        "from numpy import load",
        "torch.serialization.load(path)",
        "os.execvp(program, arguments)",
        "importlib.util.spec_from_file_location(name, path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.lib.format.read_array(file, allow_pickle=True)",
        "eval(text)",
        "exec(text)",
        "os.system(text)",
        "import_module(name)",
        "importlib.import_module(name)",
        "datasets.load_dataset(name, trust_remote_code=True)",
    ],
)
def test_the_search_finds_what_it_is_for(line: str) -> None:
    assert len(offences(Path("any.py"), line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, map_location='cpu', weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "model.eval()",
        "re.compile(text)",
        "tickets.Ticket.load(path)",
    ],
)
def test_the_search_finds_nothing_else(line: str) -> None:
    assert offences(Path("any.py"), line) == []


MODEL = """
from pathlib import Path
from torch import nn
Path("ran").touch()
def net(width, in_channels, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, classes))
"""


def test_a_configuration_leads_to_no_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless its model is named on the command line as well."""
    write_module(monkeypatch, tmp_path, "user_configured", MODEL)
    Path("config.toml").write_text('command = "search"\nmodel = "user_configured:net"\nepochs = 1\n')
    line = refusal("search", "--config", "config.toml", "--out", "run")
    assert line == "config.toml asks to import 'user_configured:net': if you trust it, give it as --model"
    assert not Path("ran").exists()
    assert not Path("run").exists()
    options = ["--model", "user_configured:net", "--threads", "1"]
    assert tombola("search", "--config", "config.toml", *options, "--out", "run").status == 0
    assert Path("ran").exists()


def test_a_run_s_own_folder_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model was named when the run was started; the line that a stopped run ends with is enough."""
    write_module(monkeypatch, tmp_path, "user_own", MODEL)
    assert tombola("search", *TINY, "--model", "user_own:net", "--out", "run").status == 0
    Path("run/result.json").unlink()
    assert tombola("search", "--resume", "--out", "run").status == 0


def png(width: int, height: int) -> bytes:
    """A picture of so many pixels that says so, in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_pillow_s_limit_on_pixels_is_in_force() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    side = int((2 * Image.MAX_IMAGE_PIXELS) ** 0.5) + 1
    with pytest.raises(DataError, match=r"x\.png: cannot decode the image .*exceeds limit"):
        decode([png(side, side)], "set", ["x.png"])


def test_images_are_of_a_few_formats_alone() -> None:
    """Pillow hands PostScript, whatever a file's name says, to Ghostscript."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"
    assert Image.open(io.BytesIO(postscript)).format == "EPS"
    with pytest.raises(DataError, match=r"x\.png: cannot decode the image"):
        decode([postscript], "set", ["x.png"])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM"])
def test_those_formats_are_read(kind: str) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).save(buffer, kind)
    assert (decode([buffer.getvalue()], "set") == 255).all()
