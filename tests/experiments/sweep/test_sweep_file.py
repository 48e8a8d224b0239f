"""The file of a sweep: which runs it has, how they are called, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sweep_helpers import COMMON, write_sweep

from commands import refusal
from tombola.errors import ArgumentError
from tombola.experiments.search_config import SearchConfig
from tombola.experiments.sweep.file import Resources, Sweep, read_sweep
from tombola.experiments.train_config import TrainConfig

DOCS = Path(__file__).parents[3] / "docs"


def read(folder: Path, text: str, common: str = COMMON) -> Sweep:
    return read_sweep(write_sweep(folder / "some.toml", text, common))


def options(sweep: Sweep) -> list[dict[str, Any]]:
    return [run.options for run in sweep.runs]


def test_a_grid_with_seeds(tmp_path: Path) -> None:
    sweep = read(tmp_path, "seeds = [0, 7]\n[grid]\nmethod = ['iterand', 'edge-popup']\ndensity = [0.25, 1]")
    assert [run.name for run in sweep.runs] == [
        f"density={density},method={method},seed={seed}"
        for method in ("iterand", "edge-popup")
        for density in ("0.25", "1.0")
        for seed in (0, 7)
    ]
    last = sweep.runs[-1]
    assert last.options == {"density": 1.0, "method": "edge-popup", "seed": 7}
    assert last.config == SearchConfig(
        model="mlp",
        width=0.1,
        epochs=2,
        batch_size=64,
        lr=0.1,
        precision="float32",
        method="edge-popup",
        density=1.0,
        seed=7,
        device="cpu",
        threads=1,
        workers=0,  # beside the one core that computes there is none to decode images
    )


def test_a_list_of_trainings(tmp_path: Path) -> None:
    text = "command = 'train'\n[[list]]\nmethod = 'rigl'\ndensity = 0.5\n[[list]]\nlr = 0.02"
    sweep = read(tmp_path, text, "[options]\nepochs = 3")
    assert [run.name for run in sweep.runs] == ["density=0.5,method=rigl,seed=0", "lr=0.02,seed=0"]
    assert [type(run.config) for run in sweep.runs] == [TrainConfig, TrainConfig]
    assert [run.config.epochs for run in sweep.runs] == [3, 3]
    assert [run.config.lr for run in sweep.runs] == [0.01, 0.02]


def test_a_list_and_a_grid_are_combined(tmp_path: Path) -> None:
    sweep = read(
        tmp_path, "seeds = 2\n[[list]]\nperiod = 5\n[[list]]\nrate = 0.5\n[grid]\ndensity = [0.3, 0.5]"
    )
    assert len(sweep.runs) == 8
    assert {"period": 5, "density": 0.3, "seed": 1} in options(sweep)
    assert {"rate": 0.5, "density": 0.5, "seed": 0} in options(sweep)


def test_seeds_alone(tmp_path: Path) -> None:
    assert options(read(tmp_path, "seeds = 3")) == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    assert [run.name for run in read(tmp_path, "").runs] == ["seed=0"]


def test_the_order_of_options_does_not_change_names(tmp_path: Path) -> None:
    one = read(tmp_path, "[grid]\nrate = [0.1, 0.2]\nperiod = [5]")
    other = read(tmp_path, "[grid]\nperiod = [5]\nrate = [0.1, 0.2]")
    assert one.runs == other.runs


def test_equal_random_draws_are_left_out(tmp_path: Path) -> None:
    sweep = read(tmp_path, "[random]\ncount = 9\nrate = [0.1, 0.2]")
    assert {run.options["rate"] for run in sweep.runs} == {0.1, 0.2}
    assert (len(sweep.runs), sweep.merged) == (2, 7)


def test_none_and_paths(tmp_path: Path) -> None:
    sweep = read(tmp_path, f"[grid]\nperiod = ['none', 5]\nsource_mask = ['{tmp_path}/Mask.safetensors']")
    first, second = sweep.runs
    assert first.options == {"period": None, "source_mask": tmp_path / "Mask.safetensors", "seed": 0}
    assert re.fullmatch(r"period=none,source_mask=Mask\.safetensors,seed=0-[0-9a-f]{8}", first.name)
    assert first.name[-8:] != second.name[-8:]


def test_resources_settle_threads_and_device(tmp_path: Path) -> None:
    sweep = read(tmp_path, "[resources]\ncpus = 3\ngpus = 0.5\nretries = 0")
    assert sweep.resources == Resources(cpus=3, gpus=0.5, retries=0)
    assert (sweep.runs[0].config.threads, sweep.runs[0].config.device) == (3, "cuda")
    sweep = read(tmp_path, "[resources]\ncpus = 3", "[options]\nthreads = 2\ndevice = 'cpu'")
    assert (sweep.runs[0].config.threads, sweep.runs[0].config.device) == (2, "cpu")


REFUSED = {
    "no toml": ("a = ", "cannot read the sweep .*line 1"),
    "key": ("sedes = 3", "unknown key 'sedes': did you mean 'seeds'?"),
    "command": ("command = 'evaluate'", "unknown command 'evaluate'.*Known: search, train"),
    "option": ("[grid]\nwidht = [1.0]", "unknown option in this sweep: 'widht': did you mean 'width'?"),
    "type": ("[grid]\nrate = [0.1, '1']", "option 'rate' in this sweep must be a number, got '1'"),
    "value": ("[grid]\ndensity = [0.5, 2.0]", r"run density=2\.0,seed=0: density .* got 2\.0"),
    "method": ("[[list]]\nmethod = 'iterant'", "run method=iterant,seed=0: unknown method 'iterant'"),
    "data": ("[grid]\ndata = ['digits', 'digitz']", "run data=digitz,seed=0: unknown data set 'digitz'"),
    "init": ("[grid]\ninit = ['nope']", "run init=nope,seed=0: unknown init 'nope'"),
    "of another command": ("command = 'train'\n[grid]\nrate = [0.1]", "unknown option in this sweep: 'rate'"),
    "not a list": ("[grid]\nrate = 0.1", r"'rate' in \[grid\] must be a list of values, got 0\.1"),
    "empty list": ("[grid]\nrate = []", r"'rate' in \[grid\] must be a list of values, got \[\]"),
    "grid no table": ("grid = 3", r"grid must be a table, begun by \[grid\], got 3"),
    "list no tables": ("list = [1]", r"list must be tables, each begun by \[\[list\]\], got \[1\]"),
    "list one table": ("[list]\nrate = 0.1", r"list must be tables, each begun by \[\[list\]\]"),
    "no list at all": ("list = []", r"list must be tables"),
    "the same twice": ("[grid]\nrate = [0.1, 0.1]", "runs rate=0.1,seed=0 and rate=0.1,seed=0 are the same"),
    "the same in other words": (
        "[[list]]\nrate = 0.1\n[[list]]\nmomentum = 0.9",
        "runs rate=0.1,seed=0 and momentum=0.9,seed=0 are the same",
    ),
    "twice": ("[grid]\nlr = [0.1]", r"option 'lr' is given in \[options\] and again in \[grid\]"),
    "twice, in the list": (
        "[grid]\nrate = [0.1]\n[[list]]\nrate = 0.2",
        r"option 'rate' is given in \[grid\] and again in \[list\]",
    ),
    "seed": ("[grid]\nseed = [0, 1]", r"option 'seed' cannot be given in \[grid\]: give seeds = "),
    "out": ("[[list]]\nout = 'a'", r"option 'out' cannot be given in \[list\]: the sweep's --out"),
    "resume": ("[grid]\nresume = [true]", r"option 'resume' cannot be given in \[grid\]: a sweep always"),
    "no seeds": ("seeds = 0", "seeds must be a list of seeds, or their number, got 0"),
    "seeds empty": ("seeds = []", r"seeds must be a list of seeds, or their number, got \[\]"),
    "seeds true": ("seeds = true", "seeds must be a list of seeds, or their number, got True"),
    "seed below 0": ("seeds = [-1]", r"seed must be an integer in \[0, 2\^64\), got -1"),
    "seeds alike": ("seeds = [1, 2, 1]", r"seeds must differ, got \[1, 2, 1\]"),
    "too many seeds": ("seeds = 10_001", "a sweep has at most 10,000 runs, these are 10,001"),
    "too many": (
        "seeds = 101\n[grid]\nperiod = [1]\n[random]\ncount = 100\nrate = [0.1]",
        "these are 10,100",
    ),
    "resource": ("[resources]\ncpu = 1", r"unknown key in \[resources\]: 'cpu': did you mean 'cpus'?"),
    "cpus": ("[resources]\ncpus = 0", r"cpus in \[resources\] must be a whole number of at least 1, got 0"),
    "cpus a fraction": ("[resources]\ncpus = 0.5", "cpus in .* must be a whole number .*, got 0.5"),
    "retries": ("[resources]\nretries = -1", "retries in .* must be a whole number of at least 0, got -1"),
    "gpus": ("[resources]\ngpus = 1.5", r"gpus in \[resources\] must be a fraction of one, or .*, got 1\.5"),
    "gpus nan": ("[resources]\ngpus = nan", r"gpus in \[resources\] must be .*, got nan"),
    "device": ("[grid]\ndevice = ['cuda']", r"device cuda was asked for, but gpus in \[resources\] are 0"),
    "no random count": ("[random]\nrate = [0.1]", r"count in \[random\] must be a whole number .*, got None"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(tmp_path: Path, case: str) -> None:
    text, said = REFUSED[case]
    file = write_sweep(tmp_path / "some.toml", text)
    line = refusal("sweep", file, "--out", tmp_path / "out")
    assert str(file) in line
    assert re.search(said, line), line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ('model = ["mlp", "mpl"]', "run model=mpl,seed=0: unknown model 'mpl': did you mean 'mlp'"),
        ("width = [1.0, -1.0]", "run width=-1.0,seed=0: width must be a finite number above 0, got -1.0"),
    ],
)
def test_a_wrong_network_is_refused_before_a_right_one_runs(tmp_path: Path, option: str, said: str) -> None:
    (tmp_path / "some.toml").write_text(f"[grid]\n{option}")
    assert said in refusal("sweep", tmp_path / "some.toml", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    assert refusal("sweep", tmp_path / "no.toml").endswith("no.toml: No such file or directory")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "cannot read the sweep" in refusal("sweep", tmp_path / "bytes.toml")


def test_the_examples_of_the_page_are_sweeps(tmp_path: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (DOCS / "sweep.md").read_text(), flags=re.DOTALL)
    assert len(blocks) > 1
    for block in blocks:
        (tmp_path / "example.toml").write_text(block)
        assert read_sweep(tmp_path / "example.toml").runs


def test_errors_keep_their_kind(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError):
        read(tmp_path, "seeds = 0")
