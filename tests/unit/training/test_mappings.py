"""Every mapping learns what it is for: texts from conditions and sequences, classes from vectors."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from shared.data.batching import eval_batches, sample_batches
from shared.data.table import DatasetTable
from shared.nn.generation import beginning, greedy
from shared.nn.generator import Generator
from tests.unit.training.builders import (
    CPU,
    builtin_table,
    make_table,
    plan_for,
    reversed_words,
)
from workers.plan import Plan
from workers.training.edits import num_edits
from workers.training.evaluation import evaluate
from workers.training.loop import fit
from workers.training.passes import TeacherForcing


def trained(table: DatasetTable, max_steps: int | None = None, **wanted: Any) -> Plan:
    plan = plan_for(table, **wanted)
    for _ in fit(plan.training, max_steps):
        pass
    return plan


def measure(plan: Plan, split: str = "test", limit: int = 200) -> dict[str, float]:
    data = plan.splits[split]
    sample = sample_batches(data, 50, limit)
    return evaluate(plan.training.network, eval_batches(data, 50), plan.evaluation, CPU, sample)


@pytest.mark.parametrize("attention", ["additive", "dot"])
def test_with_attention_words_are_learnt_to_be_written_backwards(attention: str) -> None:
    table = reversed_words(num=1500, longest=6, letters="abcdef")
    network = {"cell": "lstm", "hidden_size": 64, "bidirectional": True, "attention": attention}
    adamw = {"type": "adamw", "lr": 0.01}
    training = {"epochs": 10, "batch_size": 32, "optimizer": adamw, "schedule": "cosine"}

    measured = measure(trained(table, network=network, training=training))

    assert measured["exact_match"] > 0.95
    assert measured["edit_rate"] < 0.05
    assert measured["token_accuracy"] > 0.95


def test_a_condition_decides_which_word_is_written() -> None:
    words = {"one": "uno", "two": "due"}
    table = make_table(
        list(words) * 20, list(words.values()) * 20, input_kind="category", target_kind="text"
    )
    training = {"epochs": 12, "optimizer": {"type": "adamw", "lr": 0.03}}

    plan = trained(table, training=training)

    network = plan.training.network
    assert isinstance(network, Generator)
    assert measure(plan)["exact_match"] == 1.0
    for name, word in words.items():
        x = torch.from_numpy(table.encoding.encode_input(name)).long()[None]
        [written] = greedy(beginning(network, x, torch.tensor([1])), 10)
        assert table.encoding.describe(np.array(written.symbols)) == {"text": word}


def test_a_feed_forward_stack_learns_digits_from_vectors() -> None:
    training = {"epochs": 12, "batch_size": 32, "optimizer": {"type": "adamw", "lr": 0.01}}

    plan = trained(builtin_table("digits-flat"), network={"hidden_size": 32}, training=training)

    assert measure(plan)["accuracy"] >= 0.9


def test_reading_own_symbols_in_training_still_learns() -> None:
    table = make_table(["ab", "ba"] * 30, ["xyx", "yy"] * 30, target_kind="text")
    taught = {"teacher_forcing": 1.0, "teacher_forcing_end": 0.0}
    training = {"epochs": 10, "optimizer": {"type": "adamw", "lr": 0.02}, **taught}

    plan = trained(table, training=training)

    assert measure(plan)["exact_match"] == 1.0


def test_the_share_of_true_symbols_falls_in_a_straight_line() -> None:
    taught = TeacherForcing(1.0, 0.2, total_steps=9)

    assert [taught.at(step) for step in (1, 5, 9, 12)] == pytest.approx([1.0, 0.6, 0.2, 0.2])
    assert TeacherForcing(0.7, 0.7, total_steps=1).at(1) == 0.7


def test_texts_are_scored_with_and_without_the_true_symbols_given() -> None:
    plan = plan_for(reversed_words(), network={"attention": "dot"})
    network, split = plan.training.network, plan.splits["train"]
    assert isinstance(network, Generator)
    network.eval()

    measured = measure(plan, "train")

    losses, right, edits, exact, symbols = [], [], 0, 0, 0
    for batch in eval_batches(split, 1):
        x, y, lengths_B = map(torch.from_numpy, (batch.x, batch.y, batch.lengths))
        logits = network(x, lengths_B, y)[0].detach()
        losses += (-logits.log_softmax(-1)[range(y.shape[1]), y[0]]).tolist()
        right += (logits.argmax(-1) == y[0]).tolist()
        [written] = greedy(beginning(network, x, lengths_B), 6)
        truth = y[0, :-1].tolist()
        edits, exact = edits + distance(written.symbols, truth), exact + (written.symbols == truth)
        symbols += len(truth)
    assert measured["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert measured["perplexity"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)
    assert measured["token_accuracy"] == pytest.approx(np.mean(right))
    assert measured["exact_match"] == exact / len(split)
    assert measured["edit_rate"] == pytest.approx(edits / symbols)


def test_an_evaluation_leaves_the_random_generator_alone() -> None:
    plan = plan_for(reversed_words())
    before = torch.get_rng_state()

    measure(plan)

    assert torch.equal(torch.get_rng_state(), before)


def distance(guess: list[int], truth: list[int]) -> int:
    """The textbook's recursion."""
    if not guess or not truth:
        return len(guess) + len(truth)
    replaced = distance(guess[1:], truth[1:]) + (guess[0] != truth[0])
    return min(replaced, 1 + distance(guess[1:], truth), 1 + distance(guess, truth[1:]))


@given(
    st.lists(st.integers(0, 2), max_size=5),
    st.lists(st.integers(0, 2), max_size=5),
)
def test_edits_are_counted_as_the_textbook_does(guess: list[int], truth: list[int]) -> None:
    assert num_edits(guess, truth) == distance(guess, truth)
