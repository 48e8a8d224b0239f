"""Signals are taken between two steps, and handed back afterwards."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from commands import python
from tombola.experiments.interrupt import Interrupt


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75)])
def test_a_signal_is_remembered(number: signal.Signals, status: int) -> None:
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("signals come to the main thread alone")
    old = signal.getsignal(number)
    interrupt = Interrupt()
    with interrupt.watched():
        assert interrupt.status is None
        os.kill(os.getpid(), number)
        assert interrupt.status == status
        assert signal.getsignal(number) is signal.SIG_DFL  # a second one ends the process at once
    assert signal.getsignal(number) is old


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


def test_a_second_signal_ends_the_process(tmp_path: Path) -> None:
    code = (
        "import os, signal\n"
        "from tombola.experiments.interrupt import Interrupt\n"
        "with Interrupt().watched():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
    )
    ended = python(code, cwd=tmp_path)
    assert (ended.status, ended.err) == (-signal.SIGINT, "")
