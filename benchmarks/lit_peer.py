"""The network behind LitServe. Its processes find the class by the name of this module."""

from pathlib import Path
from typing import Any

import litserve as ls
import torch
from torch import Tensor

from benchmarks.peers import MAX_BATCH, bare

BATCH_WAIT_S = 0.005


class Api(ls.LitAPI):  # type: ignore[misc, name-defined, unused-ignore]
    """A sequence in, probabilities out, so many requests together as come within the wait."""

    def __init__(self, folder: Path) -> None:
        super().__init__(max_batch_size=MAX_BATCH, batch_timeout=BATCH_WAIT_S)
        self.folder = folder

    def setup(self, device: str) -> None:
        self.network = bare(self.folder)

    def decode_request(self, request: dict[str, Any]) -> Tensor:
        return torch.tensor(request["input"])

    def batch(self, inputs: list[Tensor]) -> Tensor:
        return torch.stack(inputs)

    def predict(self, x_BTF: Tensor) -> Tensor:
        with torch.inference_mode():
            return self.network(x_BTF)

    def unbatch(self, output_BK: Tensor) -> list[Tensor]:
        return list(output_BK)

    def encode_response(self, output_K: Tensor) -> dict[str, Any]:
        return {"probabilities": output_K.tolist()}
