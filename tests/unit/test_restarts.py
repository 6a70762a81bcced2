"""How often a process may be restarted, with time as a number."""

from services.embedded.restarts import WINDOW_S, Restarts


def test_pauses_double_up_to_a_longest_and_then_end() -> None:
    restarts = Restarts()

    pauses = [restarts.pause_s(now_s) for now_s in (0, 1, 2, 3, 4, 5)]

    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, None]


def test_deaths_that_are_older_than_the_window_do_not_count() -> None:
    restarts = Restarts()
    for now_s in range(5):
        restarts.pause_s(now_s)

    assert restarts.pause_s(WINDOW_S + 4) == 0.5


def test_a_process_that_dies_seldom_is_restarted_for_ever() -> None:
    restarts = Restarts()

    assert {restarts.pause_s(now_s * WINDOW_S) for now_s in range(100)} == {0.5}
