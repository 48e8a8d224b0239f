"""Signals are taken between two steps, and handed back afterwards; outside the loop they end the process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from resume_helpers import OPTIONS, assert_same

from commands import TINY, finished, python, tombola
from tombola.experiments.folder import RunFolder
from tombola.experiments.interrupt import AT_ONCE, EXIT_STATUS, Interrupt, Interrupted

PREEMPTION = [signal.SIGTERM, signal.SIGUSR1]


@pytest.fixture
def outer() -> Iterator[list[int]]:
    """The signals that come to whoever had taken them before."""
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread alone")
    came: list[int] = []
    old = {number: signal.signal(number, lambda n, _: came.append(n)) for number in EXIT_STATUS}
    yield came
    for number, handler in old.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), *((n, 75) for n in PREEMPTION)])
def test_a_signal_is_remembered(outer: list[int], number: signal.Signals, status: int) -> None:
    before = signal.getsignal(number)
    interrupt = Interrupt()
    with pytest.raises(Interrupted), interrupt.watched():
        assert interrupt.status is None
        os.kill(os.getpid(), number)
        assert interrupt.status == status
        raise Interrupted("stopped", status)
    assert signal.getsignal(number) is before
    assert outer == []


@pytest.mark.parametrize("number", PREEMPTION)
def test_a_scheduler_may_repeat_itself(outer: list[int], number: signal.Signals) -> None:
    """To the process, and to its group: both mean one preemption."""
    interrupt = Interrupt()
    with pytest.raises(Interrupted), interrupt.watched():
        for _ in range(3):
            os.kill(os.getpid(), number)
        assert interrupt.status == 75
        raise Interrupted("stopped", 75)
    assert outer == []


@pytest.mark.parametrize("number", [signal.SIGINT, *PREEMPTION])
def test_a_signal_that_comes_too_late_is_handed_on(outer: list[int], number: signal.Signals) -> None:
    with Interrupt().watched():
        os.kill(os.getpid(), number)
        assert outer == []
    assert outer == [number]


def test_what_is_switched_off_stays_so(outer: list[int]) -> None:
    """A shell switches Ctrl-C off for what runs in its background."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    interrupt = Interrupt()
    with interrupt.watched():
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.status is None
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    assert outer == []


def test_another_thread_watches_nothing() -> None:
    interrupt, before = Interrupt(), signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def watch() -> None:
        with interrupt.watched():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_second_ctrl_c_ends_the_process(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from tombola.experiments.interrupt import Interrupt\n"
        "with Interrupt().watched():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    ended = python(code, cwd=tmp_path)
    assert (ended.status, ended.err) == (-signal.SIGINT, "")


# The command as the shell starts it, to which a signal comes at the first event, of those that Python reports
# to its auditors, that is of something so named.
COMMAND = """
import os, sys
from tombola.__main__ import main

event, what, number = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))

def send(name, arguments):
    global what
    if name == event and what and what in str(arguments[0]):
        what = ""
        os.kill(os.getpid(), number)

sys.addaudithook(send)
try:
    sys.exit(main())
finally:
    if event == "ended":
        os.kill(os.getpid(), number)
"""


@pytest.mark.parametrize(
    ("event", "what", "number", "status"),
    [
        ("import", "torch.nn", signal.SIGINT, 130),
        ("import", "sklearn.datasets", signal.SIGTERM, 75),
        ("open", "user_signal.py", signal.SIGUSR1, 75),
    ],
)
def test_a_signal_before_the_first_step(
    tmp_path: Path, event: str, what: str, number: signal.Signals, status: int
) -> None:
    """While torch is imported, the data are read, the model is made: there is nothing to save."""
    (tmp_path / "user_signal.py").write_text("from tombola.models import mlp as net")
    options = ["search", *TINY, "--model", "user_signal:net", "--out", str(tmp_path / "run")]
    ended = python(COMMAND, event, what, str(int(number)), *options, cwd=tmp_path)
    assert (ended.status, ended.out, ended.err) == (status, "", f"tombola: {AT_ONCE}\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("command", ["inspect", "verify", "search"])
def test_a_signal_while_the_command_itself_is_imported(command: str, tmp_path: Path) -> None:
    ended = python(COMMAND, "import", "tyro", str(int(signal.SIGINT)), command, "no.tombola", cwd=tmp_path)
    assert (ended.status, ended.out, ended.err) == (130, "", "tombola: interrupted\n")


def test_a_signal_while_the_results_are_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ["search", *TINY, *OPTIONS, "--out", str(folder)]
    ended = python(COMMAND, "open", ".ticket.tombola.", str(int(signal.SIGTERM)), *options, cwd=tmp_path)
    assert (ended.status, ended.out) == (75, "")
    assert ended.err.splitlines()[-1] == f"tombola: {AT_ONCE}"
    assert not (folder / "result.json").exists()
    assert tombola("search", "--resume", "--out", folder).status == 0
    assert_same(folder, finished("search", *OPTIONS), "ticket.tombola", "examples.npz")


def test_a_signal_in_the_last_epoch_s_evaluation_is_not_lost(
    tmp_path: Path, outer: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop has ended when it would stop: what comes after it does."""
    real = RunFolder.write_metrics

    def write(folder: RunFolder, history: Sequence[Mapping[str, Any]]) -> None:
        real(folder, history)
        if len(history) == 2:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(RunFolder, "write_metrics", write)
    assert tombola("search", *TINY, "--out", tmp_path / "run").status == 0
    assert outer == [signal.SIGTERM]  # which lets the run end, unlike what the command takes signals by


@pytest.mark.parametrize("number", PREEMPTION)
def test_a_signal_after_the_end_changes_no_status(tmp_path: Path, number: signal.Signals) -> None:
    ended = python(COMMAND, "ended", "", str(int(number)), "search", "--help", cwd=tmp_path)
    assert (ended.status, ended.err) == (0, "")


def test_other_commands_end_as_any_process_does(tmp_path: Path) -> None:
    ended = python(COMMAND, "ended", "", str(int(signal.SIGTERM)), "verify", "--help", cwd=tmp_path)
    assert ended.status == -signal.SIGTERM


def test_a_program_that_calls_the_command_keeps_its_handlers(outer: list[int], tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in EXIT_STATUS]
    assert tombola("search", *TINY, "--out", tmp_path / "run").status == 0
    assert [signal.getsignal(number) for number in EXIT_STATUS] == before
    assert outer == []
