"""How rows are shared out among processes and put together again; no process is started."""

import numpy as np
import pytest
import torch

from shared.data.batching import Batch
from workers.training.ranks import Ranks, interleaved
from workers.training.team import Team


class Member(Ranks):
    """One of several, without the others."""

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size


def batch_of(num_rows: int) -> Batch:
    rows = np.arange(num_rows)
    x = np.repeat(rows[:, None], 3, axis=1)
    return Batch(x, rows + 1, rows * 10, carries=True, target_lengths=rows + 5)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("num_rows", [8, 9, 31])
def test_every_row_is_taken_by_exactly_one_process(size: int, num_rows: int) -> None:
    batch = batch_of(num_rows)
    shares = [Member(rank, size).share(batch) for rank in range(size)]

    merged = interleaved([torch.from_numpy(share.x) for share in shares])

    assert torch.equal(merged, torch.from_numpy(batch.x))
    assert (
        max(map(len, (s.lengths for s in shares))) - min(map(len, (s.lengths for s in shares))) <= 1
    )
    for share in shares:
        rows = share.x[:, 0]
        assert share.carries
        assert share.target_lengths is not None
        assert (share.lengths == rows + 1).all()
        assert (share.y == rows * 10).all()
        assert (share.target_lengths == rows + 5).all()


def test_a_process_without_a_row_takes_the_first_in_vain() -> None:
    member = Member(2, 3)

    share = member.share(batch_of(2))
    assert (share.x.tolist(), member.is_idle) == ([[0, 0, 0]], True)
    member.share(batch_of(3))
    assert not member.is_idle


def test_the_state_of_all_rows_is_dealt_out_again() -> None:
    state = torch.arange(10.0).view(5, 2)
    members = [Member(rank, 3) for rank in range(3)]

    assert torch.equal(interleaved([member.rows(state) for member in members]), state)
    assert torch.equal(Member(7, 8).rows(state), state[:1])


def test_processes_drop_units_of_their_own() -> None:
    drawn = []
    for rank in range(3):
        torch.manual_seed(5)
        Member(rank, 3).seed(5)
        drawn.append(float(torch.rand(())))
    torch.manual_seed(5)

    assert drawn[0] == float(torch.rand(()))
    assert len(set(drawn)) == 3


def test_a_process_alone_takes_all_and_changes_nothing() -> None:
    team, batch = Team(), batch_of(4)
    losses = torch.tensor([1.0, 2.0], requires_grad=True)

    loss, mean = team.mean(losses)

    assert team.share(batch) is batch
    assert (loss.item(), mean.item(), mean.requires_grad) == (1.5, 1.5, False)
    assert team.gather({"a": losses}) == [{"a": losses}]
