"""Values to arrays and back, and answers in the form of the contract."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.data.encoding import (
    ClassTarget,
    Encoding,
    InvalidInput,
    MultilabelTarget,
    NextTarget,
    NumericInput,
    RegressionTarget,
    TagsTarget,
    Target,
    TokenInput,
    ValuesTarget,
)

LETTERS = TokenInput(tokens="char", symbols=("<unk>", "b", "a"))
WORDS = TokenInput(tokens="word", symbols=("<unk>", "the", "cat"))
NOTES = TokenInput(tokens="list", symbols=("<unk>", "C4", "D4"))
PAIR = NumericInput(size=2, mean=(10.0, 0.0), std=(2.0, 1.0), binary=False)
SINGLE = NumericInput(size=1, mean=(10.0,), std=(2.0,), binary=False)
KEYS = NumericInput(size=2, mean=(0.0, 0.0), std=(1.0, 1.0), binary=True)

TARGETS: list[Target] = [
    ClassTarget(labels=("x", "y")),
    TagsTarget(labels=("N", "V")),
    RegressionTarget(size=2, mean=(1.0, 2.0), std=(3.0, 4.0)),
    ValuesTarget(size=1, mean=(1.0,), std=(2.0,)),
    MultilabelTarget(size=3),
    NextTarget(),
]


def encoding(part: Any, target: Any = None) -> Encoding:
    return Encoding(input=part, target=target or NextTarget())


@pytest.mark.parametrize("part", [LETTERS, NOTES, PAIR, KEYS])
@pytest.mark.parametrize("target", TARGETS)
def test_an_encoding_survives_json(part: Any, target: Any) -> None:
    before = Encoding(input=part, target=target, stream=True)

    assert Encoding.model_validate_json(before.model_dump_json()) == before


@pytest.mark.parametrize(
    ("part", "target", "kind", "size", "mapping", "labels"),
    [
        (LETTERS, TARGETS[0], "categorical", 2, "many_to_one", ("x", "y")),
        (LETTERS, TARGETS[1], "categorical", 2, "many_to_many", ("N", "V")),
        (PAIR, TARGETS[2], "real", 2, "many_to_one", ()),
        (PAIR, TARGETS[3], "real", 1, "many_to_many", ()),
        (PAIR, TARGETS[4], "binary", 3, "many_to_many", ()),
        (LETTERS, NextTarget(), "categorical", 3, "many_to_many", LETTERS.symbols),
        (PAIR, NextTarget(), "real", 2, "many_to_many", ()),
        (KEYS, NextTarget(), "binary", 2, "many_to_many", ()),
    ],
)
def test_input_and_target_decide_what_a_network_gives(
    part: Any, target: Any, kind: str, size: int, mapping: str, labels: tuple[str, ...]
) -> None:
    it = encoding(part, target)

    assert (it.output_kind, it.output_size, it.mapping, it.labels) == (kind, size, mapping, labels)
    assert it.per_step == (mapping == "many_to_many")


@pytest.mark.parametrize(
    ("part", "raw", "ids"),
    [
        (LETTERS, "abz", [2, 1, 0]),
        (LETTERS, ["a", "b"], [2, 1]),
        (WORDS, "the  dog\nthe cat", [1, 0, 1, 2]),
        (NOTES, ["D4", "C4", "E9"], [2, 1, 0]),
    ],
)
def test_symbols_become_their_index_and_unknown_ones_become_0(
    part: Any, raw: object, ids: list[int]
) -> None:
    encoded = encoding(part).encode_input(raw)

    assert encoded.dtype == np.int32
    assert encoded.tolist() == ids


@given(st.text("ab", min_size=1))
def test_text_comes_back_from_its_ids(text: str) -> None:
    ids = encoding(LETTERS).encode_input(text)

    assert "".join(LETTERS.symbols[id_] for id_ in ids) == text


@pytest.mark.parametrize(
    ("part", "raw", "expected"),
    [
        (SINGLE, [10, 12.0], [[0.0], [1.0]]),
        (SINGLE, [[10], [12]], [[0.0], [1.0]]),
        (PAIR, [[14, 3]], [[2.0, 3.0]]),
        (PAIR, ((14, 3),), [[2.0, 3.0]]),
        (PAIR, np.array([[14, 3]], dtype=np.int16), [[2.0, 3.0]]),
        (SINGLE, np.array([10.0, 12.0]), [[0.0], [1.0]]),
        (KEYS, [[0, 1]], [[0.0, 1.0]]),
    ],
)
def test_numbers_are_normalised_by_the_train_statistics(
    part: Any, raw: object, expected: list[list[float]]
) -> None:
    encoded = encoding(part).encode_input(raw)

    assert encoded.dtype == np.float32
    assert encoded.tolist() == expected


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_normalised_numbers_come_back_in_their_own_units(rows: list[tuple[float, float]]) -> None:
    it = encoding(PAIR)

    described = it.describe(it.encode_input(rows))

    np.testing.assert_allclose(described["values"], rows, rtol=1e-5, atol=1e-5)


def test_a_value_far_outside_the_train_split_stays_finite() -> None:
    part = NumericInput(size=1, mean=(0.0,), std=(1e-20,), binary=False)

    assert np.isfinite(part.encode([3e38])).all()


@pytest.mark.parametrize(
    ("part", "raw", "path", "words"),
    [
        (LETTERS, "", "", "empty"),
        (LETTERS, [], "", "empty"),
        (LETTERS, 5, "", "expected text, got a number"),
        (LETTERS, None, "", "expected text, got null"),
        (LETTERS, ["a", 3], "[1]", "expected a string, got a number"),
        (WORDS, " \n", "", "empty"),
        (NOTES, "C4", "", "expected a list of strings"),
        (NOTES, {"a": 1}, "", "got an object"),
        (SINGLE, [], "", "empty"),
        (SINGLE, "12", "", "expected a list of numbers, got a string"),
        (SINGLE, [1, "2"], "[1]", "expected a number, got a string"),
        (SINGLE, [1, True], "[1]", "got true: write 1"),
        (SINGLE, [1, float("nan")], "[1]", "finite"),
        (SINGLE, [1, 10**400], "[1]", "too large"),
        (SINGLE, [1, 1e39], "[1]", "too large"),
        (SINGLE, np.array([1.0, np.inf]), "[1][0]", "finite"),
        (SINGLE, np.zeros((1, 2, 3)), "", "expected numbers"),
        (SINGLE, np.zeros((0, 1)), "", "empty"),
        (PAIR, [1, 2], "[0]", "expected 2 numbers a step, got 1"),
        (PAIR, [[1, 2], [3]], "[1]", "ragged"),
        (PAIR, [[1, 2], 3], "[1]", "expected a list of numbers"),
        (PAIR, [[1, 2], [3, None]], "[1][1]", "got null"),
        (PAIR, [[1, 2], [3, [4]]], "[1][1]", "got a list"),
        (PAIR, [[], []], "[0]", "without numbers"),
        (PAIR, [[1, 2], [3, float("inf")]], "[1][1]", "finite"),
    ],
)
def test_an_input_no_network_can_read_is_refused_with_the_path_to_its_fault(
    part: Any, raw: object, path: str, words: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        encoding(part).encode_input(raw)

    assert refusal.value.path == path
    assert words in refusal.value.message


def test_a_class_is_described_by_its_probabilities_the_likeliest_first() -> None:
    described = encoding(LETTERS, TARGETS[0]).describe(np.array([0.25, 0.75]))

    assert described == {"label": "y", "probabilities": {"y": 0.75, "x": 0.25}}
    assert list(described["probabilities"]) == ["y", "x"]


@pytest.mark.parametrize(
    ("part", "target", "output", "described"),
    [
        (
            LETTERS,
            TARGETS[1],
            [[0.75, 0.25], [0.5, 0.5]],
            {"labels": ["N", "N"], "probabilities": [0.75, 0.5]},
        ),
        (
            LETTERS,
            NextTarget(),
            [[0.0, 0.25, 0.75]],
            {"labels": ["a"], "probabilities": [0.75]},
        ),
        (PAIR, TARGETS[2], [1.0, 2.0], {"value": [4.0, 10.0]}),
        (PAIR, RegressionTarget(size=1, mean=(1.0,), std=(2.0,)), [3.0], {"value": 7.0}),
        (PAIR, TARGETS[3], [[0.0], [1.0]], {"values": [1.0, 3.0]}),
        (PAIR, NextTarget(), [[1.0, 5.0]], {"values": [[12.0, 5.0]]}),
        (SINGLE, NextTarget(), [[1.0], [0.0]], {"values": [12.0, 10.0]}),
        (PAIR, TARGETS[4], [[0.5, 0.25, 1.0]], {"probabilities": [[0.5, 0.25, 1.0]]}),
        (KEYS, NextTarget(), [[0.5, 0.25]], {"probabilities": [[0.5, 0.25]]}),
    ],
)
def test_an_output_is_described_in_the_terms_of_the_data(
    part: Any, target: Any, output: list[Any], described: dict[str, Any]
) -> None:
    assert encoding(part, target).describe(np.array(output, dtype=np.float32)) == described


@pytest.mark.parametrize(
    ("part", "target", "output", "described"),
    [
        (
            LETTERS,
            TARGETS[1],
            [0.25, 0.75],
            {"label": "V", "probabilities": {"V": 0.75, "N": 0.25}},
        ),
        (
            LETTERS,
            TARGETS[0],
            [0.75, 0.25],
            {"label": "x", "probabilities": {"x": 0.75, "y": 0.25}},
        ),
        (PAIR, TARGETS[3], [1.0], {"values": [3.0]}),
        (PAIR, NextTarget(), [1.0, 5.0], {"values": [12.0, 5.0]}),
        (KEYS, NextTarget(), [0.5, 0.25], {"probabilities": [0.5, 0.25]}),
        (PAIR, RegressionTarget(size=1, mean=(1.0,), std=(2.0,)), [3.0], {"value": 7.0}),
    ],
)
def test_a_single_step_is_described_on_its_own(
    part: Any, target: Any, output: list[float], described: dict[str, Any]
) -> None:
    assert encoding(part, target).describe_step(np.array(output, dtype=np.float32)) == described
