"""What a caller names ends a text before it, also where it comes in several symbols."""

import pytest

from services.inference.generation.stops import StopWatch, Token


def shown(pieces: list[str], stops: list[str]) -> tuple[list[str], bool]:
    """What is given on, piece by piece, and whether a stop came."""
    watch, found = StopWatch(stops), []
    for piece in pieces:
        found += watch.take(Token(piece.strip(), piece, -1.0))
        if watch.is_over:
            return [token.text for token in found], True
    return [token.text for token in [*found, *watch.rest()]], False


@pytest.mark.parametrize(
    ("pieces", "stops", "expected"),
    [
        ([*"abcd"], [], ([*"abcd"], False)),
        ([*"abcd"], ["bc"], (["a"], True)),
        ([*"abab-"], ["ab-"], (["a", "b"], True)),
        ([*"abca"], ["cab"], ([*"abca"], False)),
        ([*"abcd"], ["d", "bc"], (["a"], True)),
        (["to", " be", " or"], ["b"], (["to", " "], True)),
        (["to", " be", " or"], ["be or"], (["to", " "], True)),
        (["to", " be"], ["to"], ([], True)),
    ],
)
def test_a_text_ends_before_the_first_stop(
    pieces: list[str], stops: list[str], expected: tuple[list[str], bool]
) -> None:
    assert shown(pieces, stops) == expected


def test_nothing_is_held_back_that_no_stop_begins_with() -> None:
    watch = StopWatch(["xy"])

    assert [token.text for token in watch.take(Token("a", "a", 0))] == ["a"]
    assert watch.take(Token("x", "x", 0)) == []
    assert [token.text for token in watch.take(Token("b", "b", 0))] == ["x", "b"]
