"""Our Triton kernels without a GPU: run by Triton's interpreter, and compiled for cards not here.

Collected where Triton is installed.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from shared.nn.kernels.gpu import gru, jordan, lstm, scan, walking

ROOT = Path(__file__).parents[3]
LEAST_SHARED_MEMORY = 64 * 1024  # bytes a program can have on a Turing card
WALKS: dict[str, tuple[Any, dict[str, Any]]] = {
    "lstm": (lstm._forward, {"GATES": 4}),
    "lstm, backward": (lstm._backward, {"GATES": 4}),
    "coupled": (lstm._forward, {"GATES": 3}),
    "coupled, backward": (lstm._backward, {"GATES": 3}),
    "gru": (gru._forward, {"GATES": 3}),
    "gru, backward": (gru._backward, {"GATES": 3}),
    "mgu": (gru._forward, {"GATES": 2}),
    "mgu, backward": (gru._backward, {"GATES": 2}),
    "jordan": (jordan._forward, {"HIDDEN": "tanh", "SHOWN": "sigmoid"}),
    "jordan, backward": (jordan._backward, {"HIDDEN": "tanh", "SHOWN": "relu"}),
}
SCANS = {"scan": scan._forward, "scan, backward": scan._backward}


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


def compiled(kernel: Any, constants: dict[str, Any], capability: int = 80) -> Any:
    """For a card of some capability; numbers in float32, at addresses that torch would give."""
    options = {"num_warps": constants.pop("num_warps")}
    counts = dict.fromkeys(("T", "B", "N"), "i32") | dict.fromkeys(constants, "constexpr")
    signature = {name: counts.get(name, "*fp32") for name in kernel.arg_names}
    tensors = [n for n, kind in enumerate(signature.values()) if kind == "*fp32"]
    aligned = {(n,): [["tt.divisibility", 16]] for n in tensors}
    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options)


def constants(units: int, **own: Any) -> dict[str, Any]:
    return {"H": units, "PRECISION": "tf32x3", **walking.tiles(units), **own}


def phases(program: Any) -> list[str]:
    """What a step does in the order that the compiler left it in, cut at its barriers."""
    body = program.asm["ttgir"].split("to %T step", 1)[1]
    return body.split("ttg.barrier")


def test_under_the_interpreter_every_kernel_gives_what_the_equation_says() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "tests/unit/nn/interpreted.py"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed in", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", WALKS)
def test_nothing_is_read_ahead_of_the_barrier_behind_what_writes_it(name: str) -> None:
    kernel, own = WALKS[name]

    *steps, rest = phases(compiled(kernel, constants(128, **own)))

    assert len(steps) == (2 if kernel.fn.__module__ == lstm.__name__ else 4)
    for step in steps:
        writes = step.rfind("async_copy_global_to_local"), step.find("tt.store")
        assert writes[0] < writes[1]  # a product has fetched all its tiles before it stores
    assert "tt.load" not in rest
    assert "async_copy" not in rest


@pytest.mark.parametrize("capability", [75, 80, 90, 120])
def test_programs_fit_every_card_since_turing(capability: int) -> None:
    kernel, own = WALKS["lstm, backward"]

    program = compiled(kernel, constants(512, **own), capability)

    assert program.metadata.shared <= LEAST_SHARED_MEMORY
    assert "bar.sync" in program.asm["ptx"]


@pytest.mark.parametrize("name", SCANS)
def test_scans_compile(name: str) -> None:
    program = compiled(SCANS[name], dict(scan.SHAPE))

    assert program.metadata.shared <= LEAST_SHARED_MEMORY
