"""Several processes that train one network: who takes which rows, what they tell each other and when.

The first one (rank 0) leads. Between two steps it gives orders, and the others obey until one is
to go on; so they save and stop at the same step, whatever made the first one do so.

Legend: N real steps or sequences of this process's rows.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import timedelta
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from shared.data.batching import Batch
from shared.nn.mappings import AnyNetwork
from workers.training.team import Dismissed, Parts, Team

PATIENCE = timedelta(days=7)  # an evaluation of the first one may take long; a dead one is noticed
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}
SEED_STRIDE = 0x9E3779B97F4A7C15  # far apart, so that no two processes drop the same units


class Order(IntEnum):
    """What the first process tells the others between two steps."""

    STEP = 0  # take the next step
    GATHER = 1  # send your parts of the state
    END = 2  # there is no next step


class Ranks(Team):
    """One of several processes; all have made the same calls in the same order."""

    def __init__(self, rank: int, size: int, device: torch.device, store: str) -> None:
        """Joins the others, who meet at the file `store`."""
        self.rank, self.size, self.device = rank, size, device
        distributed.init_process_group(
            BACKENDS[device.type], init_method=f"file://{store}", rank=rank, world_size=size
        )
        # orders go by the CPU, so that a GPU is never waited for
        self.orders = distributed.new_group(backend="gloo", timeout=PATIENCE)
        self.parallel: DistributedDataParallel | None = None
        self.parts: Callable[[], Parts] | None = None
        """What the others send when the first one gathers."""

    def begin(self, network: AnyNetwork) -> None:
        """Take the first process's weights; from here on gradients are averaged."""
        ids = [self.device.index] if self.device.type == "cuda" else None
        self.parallel = DistributedDataParallel(network, device_ids=ids, forward_sync_buffers=False)

    def seed(self, seed: int) -> None:
        """Give every process but the first a random generator of its own."""
        if self.rank:
            torch.manual_seed((seed + self.rank * SEED_STRIDE) % 2**63)

    def forward(self, network: AnyNetwork) -> Callable[..., Any]:
        assert self.parallel is not None
        return self.parallel

    def next_step(self, lr: float) -> float:
        if self.rank == 0:
            self._tell(Order.STEP, lr)
            return lr
        while (heard := self._hear())[0] is Order.GATHER:
            self._send()
        if heard[0] is Order.END:
            raise Dismissed
        return heard[1]

    def share(self, batch: Batch) -> Batch:
        """Every `size`-th row: a batch is sorted by length, so each process gets as much to do.

        A process without a row of its own takes the first one and gives it no weight: all must
        take part in the exchange of gradients.
        """
        mine = rows_of(len(batch.lengths), self.rank, self.size)
        self.is_idle = len(mine) == 0
        mine = mine if len(mine) else np.zeros(1, dtype=np.int64)
        arrays = {field.name: getattr(batch, field.name) for field in fields(batch)}
        return replace(
            batch, **{name: a[mine] for name, a in arrays.items() if isinstance(a, np.ndarray)}
        )

    def mean(self, losses_N: Tensor) -> tuple[Tensor, Tensor]:
        """The mean over the real steps of all rows, so that ragged shares count as they should."""
        weight = 0.0 if self.is_idle else 1.0
        total = losses_N.sum() * weight
        sums = torch.stack([total.detach(), total.new_tensor(len(losses_N) * weight)])
        distributed.all_reduce(sums)
        # gradients are averaged over the processes, which `size` undoes
        return total * (self.size / sums[1]), sums[0] / sums[1]

    def gather(self, parts: Parts) -> list[Parts]:
        self._tell(Order.GATHER)
        return [parts, *(self._receive(rank, parts) for rank in range(1, self.size))]

    def rows(self, tensor: Tensor) -> Tensor:
        mine = tensor[self.rank :: self.size]
        return mine if len(mine) else tensor[:1]

    def dismiss(self) -> None:
        self._tell(Order.END)

    def _tell(self, order: Order, lr: float = 0.0) -> None:
        told = torch.tensor([float(order), lr], dtype=torch.float64)
        distributed.broadcast(told, src=0, group=self.orders)

    def _hear(self) -> tuple[Order, float]:
        heard = torch.empty(2, dtype=torch.float64)
        distributed.broadcast(heard, src=0, group=self.orders)
        return Order(int(heard[0])), float(heard[1])

    def _send(self) -> None:
        assert self.parts is not None
        parts = self.parts()
        for name in sorted(parts):
            tensor = parts[name].detach().cpu().contiguous()
            distributed.send(torch.tensor(tensor.shape), dst=0, group=self.orders)
            distributed.send(tensor, dst=0, group=self.orders)

    def _receive(self, rank: int, like: Parts) -> Parts:
        received = {}
        for name in sorted(like):
            shape = torch.empty(like[name].ndim, dtype=torch.int64)
            distributed.recv(shape, src=rank, group=self.orders)
            received[name] = torch.empty(shape.tolist(), dtype=like[name].dtype)
            distributed.recv(received[name], src=rank, group=self.orders)
        return received


def rows_of(num_rows: int, rank: int, size: int) -> Any:
    """The numbers of the rows that one of `size` processes takes."""
    return np.arange(rank, num_rows, size)


def interleaved(shares: list[Tensor]) -> Tensor:
    """The rows of all processes as they stood in the batch."""
    merged = shares[0].new_empty((sum(len(share) for share in shares), *shares[0].shape[1:]))
    for rank, share in enumerate(shares):
        merged[rank :: len(shares)] = share.to(merged.device)
    return merged
