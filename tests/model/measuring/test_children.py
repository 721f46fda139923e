"""When a measure is killed, what it started ends with it: the front, and a program in the sandbox."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from midfill.model.measuring.children import BY_PYTHON
from midfill.model.wire.api import ContextBudget, ModelInfo, to_json

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")

INFO = ModelInfo(
    name="scripted",
    family="scripted",
    revision="0",
    licence="",
    languages=("python",),
    capabilities=("infill",),
    max_holes=2,
    max_canvas_tokens=127,
    context=ContextBudget(1200, 600, 2400, 700),
    num_parameters=0,
    device="cpu",
    precision="float32",
)
PARENTS = {
    "the front": "from midfill.model.wire.api import ModelInfo, from_json\n"
    "from midfill.model.measuring.front import Front\n"
    "with Front(from_json(ModelInfo, json.loads(sys.argv[1]))) as front:\n"
    "    front.groups('', [])\n"
    "    print('ready', flush=True)\n"
    "    time.sleep(60)\n",
    "a program in the sandbox": "from midfill.model.evaluation.sandbox import Limits, run_program\n"
    "print('ready', flush=True)\n"
    "run_program('import time\\nwhile True: time.sleep(9)', Limits(wall_s=60))\n",
    "a command started without setpriv": "import subprocess\n"
    "from midfill.model.measuring.children import BY_PYTHON\n"
    "print('ready', flush=True)\n"
    "subprocess.run([*BY_PYTHON, sys.executable, '-c', 'import time; time.sleep(60)'])\n",
}


@pytest.mark.parametrize("parent", PARENTS)
def test_children_end_with_their_parent(parent: str) -> None:
    code = "import json, sys, time\n" + PARENTS[parent]
    with subprocess.Popen([sys.executable, "-c", code, json.dumps(to_json(INFO))], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        children = until_stable(process.pid)
        assert children
        for pid in children:  # a child that hangs reads no end of its input
            os.kill(pid, signal.SIGSTOP)
        process.kill()
    deadline = time.monotonic() + 20
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [pid for pid in children if is_alive(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_the_command_is_run_with_its_arguments() -> None:
    ran = subprocess.run(
        [*BY_PYTHON, sys.executable, "-c", "import sys; print(sys.argv[1:])", "a b"], capture_output=True, check=True
    )
    assert ran.stdout == b"['a b']\n"


def until_stable(pid: int) -> set[int]:
    """The descendants of a process, once it has had the same ones for half a second."""
    found, since = descendants(pid), time.monotonic()
    while not found or time.monotonic() - since < 0.5:
        time.sleep(0.02)
        if (now := descendants(pid)) != found:
            found, since = now, time.monotonic()
    return found


def descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        children = {int(child) for child in listed.read_text().split()}
        found |= children.union(*map(descendants, children))
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
