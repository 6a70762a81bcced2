"""The same network behind other servers: `python -m benchmarks.peers NAME FOLDER PORT` is one of them.

Neither is a dependency of the product: install `litserve` or `mlflow` beside it to compare.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

FEATURES, LABELS = 32, 10
MAX_BATCH = 64
WEIGHTS = "weights.safetensors"


class Bare(nn.Module):
    """LSTM 2x256 and a linear head over the last step, as torch has them."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, 256, num_layers=2, batch_first=True)
        self.head = nn.Linear(256, LABELS)

    def forward(self, x_BTF: Tensor) -> Tensor:
        probabilities: Tensor = self.head(self.lstm(x_BTF)[0][:, -1]).softmax(-1)
        return probabilities


def bare(folder: Path) -> Bare:
    """With the weights that our service has."""
    ours, network = load_file(folder / WEIGHTS), Bare().eval()
    own = {f"head.{name}": ours[f"head.{name}"] for name in ("weight", "bias")}
    for layer in (0, 1):
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            own[f"lstm.{name}_l{layer}"] = ours[f"stack.layers.{layer}.cells.0.{name}"]
    network.load_state_dict(own)
    return network


def litserve(folder: Path, port: int) -> None:
    import litserve as ls

    from benchmarks.lit_peer import Api

    server = ls.LitServer(Api(folder), accelerator="cpu")
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="warning")


def mlflow(folder: Path, port: int) -> None:
    import mlflow.pyfunc
    import numpy as np

    network = bare(folder)

    class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined, unused-ignore]
        def predict(self, context: object, model_input: Any, params: object = None) -> Any:
            x_BTF = torch.from_numpy(np.asarray(model_input, np.float32))
            with torch.inference_mode():
                return network(x_BTF).numpy()

    mlflow.pyfunc.save_model(str(folder / "model"), python_model=Model())
    where = ["--host", "127.0.0.1", "--port", str(port), "--env-manager", "local"]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(folder / "model")]
    own = str(Path(sys.executable).parent)  # it calls uvicorn by its name
    os.execve(command[0], [*command, *where], {**os.environ, "PATH": f"{own}:{os.environ['PATH']}"})


SERVERS: dict[str, Callable[[Path, int], None]] = {"litserve": litserve, "mlflow": mlflow}

if __name__ == "__main__":
    name, folder, port = sys.argv[1:]
    SERVERS[name](Path(folder), int(port))
