"""The sandbox: what passes, and what does not pass however it tries."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from midfill.model.evaluation.sandbox import Limits, Reason, SandboxUnavailableError, namespaces, run_program

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

LIMITS = Limits(wall_s=20, cpu_s=1)
SHORT = Limits(wall_s=1.5, cpu_s=1)
TESTS = "assert answer() == 42"
STEAL = """
import sys, os
found = set()
def look(value, depth=0):
    if isinstance(value, (bytes, str)):
        found.add(value if isinstance(value, bytes) else value.encode("utf-8", "replace"))
    elif depth < 4 and isinstance(value, dict):
        for each in list(value.values()): look(each, depth + 1)
    elif depth < 4 and isinstance(value, (list, tuple)):
        for each in value: look(each, depth + 1)
    elif depth < 4 and hasattr(value, "__closure__"):
        for cell in value.__closure__ or (): look(cell.cell_contents, depth + 1)
frame = sys._getframe()
while frame:
    look(frame.f_locals); look(frame.f_globals)
    frame = frame.f_back
for descriptor in range(32):
    for each in found:
        try: os.write(descriptor, each)
        except OSError: pass
os._exit(0)
"""


@pytest.mark.parametrize(
    "program",
    [
        "def answer(): return 42",
        "from __future__ import annotations\nimport math, re, random, heapq\ndef answer() -> int: return 6 * 7",
        "from collections import namedtuple\nfrom dataclasses import dataclass\nimport enum, typing\n"
        "Point = namedtuple('Point', 'x')\n@dataclass\nclass Box:\n    size: 'int'\ndef answer(): return Point(42).x",
        "print('x' * 5_000_000)\ndef answer(): return 42",
        "open('note', 'w').write('42')\ndef answer(): return int(open('note').read())",
        "import tempfile\ndef answer():\n    with tempfile.TemporaryFile() as file: return 42",
    ],
    ids=["plain", "imports", "classes", "prints", "own files", "temporary files"],
)
def test_what_is_right_passes(program: str) -> None:
    verdict = run_program(program, LIMITS, TESTS)
    assert verdict.passed, verdict
    assert verdict.milliseconds > 0


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def answer(): return 41", Reason.FAILED),
        ("def answer(): return answer", Reason.FAILED),
        ("def answer(: return 42", Reason.FAILED),
        ("def answer(): return answer()", Reason.FAILED),
        ("", Reason.FAILED),
        ("import sys; sys.exit(0)", Reason.EXITED),
        ("raise SystemExit", Reason.EXITED),
        ("def answer(): raise SystemExit(0)", Reason.EXITED),
        ("import os; os._exit(0)", Reason.EXITED),
        ("def answer():\n    import os\n    os._exit(0)", Reason.EXITED),
        ("exit(0)", Reason.FAILED),
        ("input()", Reason.FAILED),
        ("import sys\nsys.excepthook = lambda *error: None\ndef answer(): return 41", Reason.FAILED),
        ("import builtins\nbuiltins.AssertionError = None\ndef answer(): return 41", Reason.FAILED),
        ("import os\nos.abort()", Reason.CRASHED),
        ("while True: pass", Reason.TIMEOUT),
        ("while True:\n    try: assert answer() == 42\n    except BaseException: pass", Reason.TIMEOUT),
        ("text = bytearray(10 * 10**9)", Reason.MEMORY),
        ("texts = []\nwhile True: texts.append(bytes(10**7))", Reason.MEMORY),
        ("file = open('huge', 'wb')\nwhile True: file.write(bytes(10**5))", Reason.FAILED),
        ("files = [open(str(number), 'w') for number in range(1000)]", Reason.FAILED),
        ("import os\nos.fork()", Reason.FAILED),
        ("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass", Reason.TIMEOUT),
        ("import socket\nsocket.socket()", Reason.FAILED),
        ("import socket\nsocket.getaddrinfo('localhost', 80)", Reason.FAILED),
        ("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:1')", Reason.FAILED),
        ("import subprocess\nsubprocess.run(['true'])", Reason.FAILED),
        ("import os\nos.system('true')", Reason.FAILED),
        ("import os\nos.execv('/bin/true', ['true'])", Reason.FAILED),
        ("import os\nos.posix_spawn('/bin/true', ['true'], {})", Reason.FAILED),
        ("import os\nos.kill(1, 0)", Reason.FAILED),
        ("import _posixsubprocess", Reason.FAILED),
        ("import ctypes", Reason.FAILED),
        ("open('/tmp/midfill-must-not-be', 'w')", Reason.FAILED),
        ("import os\nos.mkdir('../midfill-must-not-be')", Reason.FAILED),
        ("import os\nos.symlink('/', 'root')", Reason.FAILED),
        ("import os\nos.chdir('/')", Reason.FAILED),
        ("import os\nroot = os.open('/', 0)\nos.open('tmp/x', os.O_CREAT | os.O_WRONLY, dir_fd=root)", Reason.FAILED),
        ("open('/proc/self/mem', 'rb')", Reason.FAILED),
    ],
)
def test_what_is_wrong_does_not_pass(program: str, reason: Reason) -> None:
    verdict = run_program(program, LIMITS, TESTS)
    assert verdict.reason is reason, verdict


@pytest.mark.parametrize(
    "program",
    [
        STEAL,
        "def answer():\n" + "\n".join("    " + line for line in STEAL.splitlines()),
        "import sys, os\nsys.audit('midfill.done')\nos._exit(0)",
        "import sys\nsys.audit('midfill.done')\ndef answer(): return 41",
        "import gc\nprint([each for each in gc.get_objects() if isinstance(each, bytes)])",
        "import sys\nsys._getframe(1).f_locals['codes'] = []\nsys._getframe(1).f_globals['exec'] = print",
        "import sys\nsys.settrace(print)",
        "import builtins\nbuiltins.exec = builtins.any = lambda *arguments: None\ndef answer(): return 41",
        "import atexit, sys\natexit.register(lambda: sys.audit('midfill.done'))\nsys.exit(0)",
        "import os\nfor pipe in range(32):\n    try: os.write(pipe, b'passed ')\n    except OSError: pass\nos._exit(0)",
    ],
    ids=["steal", "steal in a test", "say done", "and go on", "heap", "frames", "trace", "builtins", "atexit", "pipes"],
)
def test_what_forges_does_not_pass(program: str) -> None:
    assert not run_program(program, LIMITS, TESTS).passed


def test_an_open_quote_swallows_no_tests() -> None:
    tests = "assert False  # '''"
    exec("text = '''" + tests)  # as one text they would say nothing
    assert not run_program("text = '''", LIMITS, tests).passed


@pytest.mark.parametrize(
    "program",
    ["import time\ntime.sleep(600)", "import os, time\nos.setsid()\ntime.sleep(600)"],
    ids=["", "new session"],
)
def test_what_waits_is_ended(program: str) -> None:
    verdict = run_program(program, SHORT, TESTS)
    assert verdict.reason is Reason.TIMEOUT
    assert verdict.milliseconds < 30_000


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run_program("open('note', 'w').write('x')\nimport os; assert os.listdir() == ['note']", LIMITS).passed
    assert list(tmp_path.iterdir()) == []


def test_the_environment_is_empty_and_sets_have_one_order() -> None:
    assert run_program("import os\nassert not os.environ, os.environ", LIMITS).passed
    order = "import sys\nassert list(set('abcdefgh')) == {!r}, list(set('abcdefgh'))"
    known = run_program("raise KeyError(*[''.join(set('abcdefgh'))])", LIMITS).detail.removeprefix("KeyError: ")
    assert run_program(order.format(list(known.strip("'"))), LIMITS).passed


@pytest.mark.skipif(not namespaces(), reason="this system lets users have no namespaces")
def test_the_namespace_has_no_network() -> None:
    """Without the hook, so that the second fence alone is looked at: nothing but a loopback."""
    program = "print([line.split(':')[0].strip() for line in open('/proc/self/net/dev') if ':' in line])"
    ran = subprocess.run(
        [*namespaces(), sys.executable, "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "['lo']"


def test_elsewhere_it_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxUnavailableError, match="darwin does not hold them to limits"):
        run_program("", LIMITS)


def test_limits_are_checked() -> None:
    with pytest.raises(ValueError, match="cpu_s must be more than 0, got 0"):
        Limits(cpu_s=0)
