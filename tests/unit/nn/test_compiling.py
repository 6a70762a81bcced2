"""Loops over time give the same bits when just compiled and when read from disk."""

import os
import subprocess
import sys
from pathlib import Path

from shared.nn.kernels.limits import has_compiler

TRAIN = """
import torch
from shared.nn import modules
from shared.nn.checkpoint import weights_sha256

torch.set_num_threads(1)
torch.manual_seed(0)
layers = torch.nn.ModuleList([
    modules.LSTM(6, 24, batch_first=True, recurrent_dropout=0.2),
    modules.LSTM(24, 24, peephole=True, coupled_gates=True, batch_first=True),
    modules.LSTM(24, 24, layer_norm=True, batch_first=True),
    modules.GRU(24, 24, batch_first=True),
])
optimizer = torch.optim.Adam(layers.parameters(), lr=0.01)
for _ in range(5):
    output = torch.randn(32, 30, 6)
    for layer in layers:
        output, _ = layer(output)
    optimizer.zero_grad()
    output.square().sum().backward()
    optimizer.step()
print(weights_sha256(layers.state_dict()))
"""


def trained(cache: Path) -> str:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_training_ends_with_the_same_weights_whether_loops_were_compiled_or_read(
    tmp_path: Path,
) -> None:
    fresh = trained(tmp_path)
    compiled = list(tmp_path.rglob("*.nbc"))

    assert trained(tmp_path) == fresh
    assert bool(compiled) is has_compiler()
