"""The agent as it serves a deployer: it answers one question after the other, each in a process of its own.

So what takes long on many a host, starting Python and loading the modules, is done once for all questions, and no
question finds what another one left in memory.

A question is its verb and size, for which we say that we are ready, and then its bytes: the line of arguments and what
the verb reads. One that did not arrive whole was never begun. We answer in frames: what is said for people as it comes,
then the answer.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import struct
import traceback
from typing import Final

from ops.hosts.agent.__main__ import find, respond

GREETING: Final = b"\ninvops agent\n"
"""Before it, a shell's start-up file may have printed something."""
QUESTION: Final = struct.Struct(">HQ")
"""Length of the verb, which follows, and of the bytes that come when we are ready."""
FRAME: Final = struct.Struct(">cI")
"""Kind of a frame, and the length of what follows."""
READY: Final = b"r"
TOLD: Final = b"t"
ANSWER: Final = b"a"
_CHUNK: Final = 64 * 1024
_TICK: Final = 200
"""Milliseconds until we look whether the process has ended, where something that it left behind holds its output."""


def serve() -> None:
    """Answer until the input ends; never returns."""
    _write(GREETING)
    while True:
        length, size = QUESTION.unpack(_read(QUESTION.size))
        verb = _read(length).decode()
        _send(READY)
        _answer(verb, _received(size))


def _answer(verb: str, question: int) -> None:
    with contextlib.suppress(Exception):
        find(verb)  # loaded here, once for all
    told, telling = os.pipe()
    answers = os.memfd_create("answer")
    child = os.fork()
    if not child:
        os.close(told)
        _be(verb, question, telling, answers)
    os.close(question)
    os.close(telling)
    status = _pass_on(told, child)
    os.close(told)
    with open(answers, "rb") as file:
        file.seek(0)
        answer = file.read()
    _send(ANSWER, answer or _no_answer(status))


def _be(verb: str, question: int, telling: int, answers: int) -> None:
    """Be the process of one question; never returns."""
    code = 1
    try:
        for number, target in enumerate((question, telling, telling)):
            os.dup2(target, number)
        os.close(question)
        os.close(telling)
        with open(answers, "w", closefd=False) as file:
            respond(verb, file)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _pass_on(told: int, child: int) -> int:
    """Pass on what a process says until it has ended; return its status.

    When nobody is there any more we end, and leave it: a change is not stopped halfway, and who only follows something
    finds that nobody reads.
    """
    waiting = select.poll()
    waiting.register(told, select.POLLIN)
    waiting.register(1, 0)  # its end is told without being asked for
    ended, status = 0, 0
    while True:
        some = waiting.poll(0 if ended else _TICK)
        if any(number == 1 for number, _ in some):
            os._exit(0)
        data = os.read(told, _CHUNK) if some else b""
        if data:
            _send(TOLD, data)
        elif ended:
            return status
        elif some:
            return os.waitpid(child, 0)[1]
        else:
            ended, status = os.waitpid(child, os.WNOHANG)


def _no_answer(status: int) -> bytes:
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    why = f"ended by {signal.Signals(number).name}" if number else f"exit code {status >> 8}"
    return json.dumps({"ended": why}).encode()


def _received(size: int) -> int:
    """Return a file with the bytes of a question, at its beginning."""
    file = os.memfd_create("question")
    while size:
        data = os.read(0, min(size, _CHUNK))
        if not data:
            os._exit(0)
        size -= len(data)
        os.write(file, data)
    os.lseek(file, 0, io.SEEK_SET)
    return file


def _read(size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            os._exit(0)
        data += more
    return data


def _send(kind: bytes, data: bytes = b"") -> None:
    _write(FRAME.pack(kind, len(data)) + data)


def _write(data: bytes) -> None:
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:  # nobody is there any more
        os._exit(0)
