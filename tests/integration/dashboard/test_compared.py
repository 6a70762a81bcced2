"""Two jobs beside one another: their logs by moment, and a form that loses nothing of a job."""

import html
import re

import pytest
from fastapi.testclient import TestClient

from services.dashboard.views.logdiff import MAX_LINES, Part, log_diff
from services.dashboard.views.options import schedule_choices
from services.dashboard.views.snippets import paths, without_defaults
from shared.db.engine import transaction
from shared.db.jobs import JobStore
from shared.jobs.schedules import SCHEDULE_SPECS
from tests.browser import building

pytestmark = pytest.mark.usefixtures("database_url")
ODD = {
    "network": {
        "cell": {"type": "gru", "reset_after": False},
        "condition": "every_step",
        "hidden_size": [8, 16],
        "residual": False,
    },
    "training": {
        "optimizer": {"type": "rmsprop", "momentum": 0.5, "weight_decay": 0.1},
        "schedule": {"type": "plateau", "metric": "val/accuracy", "mode": "max", "patience": 9},
        "early_stopping": {"metric": "val/accuracy", "mode": "max", "patience": 2},
        "teacher_forcing": 0.5,
        "teacher_forcing_end": 0.1,
        "tbptt_steps": 7,
        "precision": "bf16",
    },
    "checkpoint": {"every_steps": 5, "every_epochs": 2, "keep_best": 2, "keep_last": 3},
    "resources": {"device": "cpu", "devices": 2, "max_runtime_s": 60},
    "max_attempts": 7,
    "metadata": {"team.name": '"nlp" <b>'},
    "model_name": "another",
}
"""Of every part that a form could lose, something that is not its default."""


def rows(left: str, right: str, part: Part = "last") -> list[tuple[str | None, str | None] | int]:
    """What stands on either side, or how many equal rows were folded."""
    with transaction() as db:
        pairs = log_diff(db, JobStore(db).get(left), JobStore(db).get(right), part)
    return [
        each.num_equal or (each.left and each.left.text, each.right and each.right.text)
        for each in pairs
    ]


def test_lines_of_one_epoch_stand_in_one_row_and_equal_ones_are_folded() -> None:
    first, second = building.a_job("first"), building.a_job("second")
    for job_id, messages in (
        (first, ["begun", "loss 0.5", "clipped", "saved", "a", "b", "done"]),
        (second, ["begun", "loss 0.25", "saved", "a", "b", "done", "loss 3"]),
    ):
        for message in messages:
            building.add_log(job_id, message)

    assert rows(first, second) == [
        ("queued", "queued"),
        ("begun", "begun"),
        ("loss 0.5", "loss 0.25"),
        ("clipped", None),
        4,
        (None, "loss 3"),
    ]


def test_metrics_are_laid_beside_those_of_the_same_epoch_and_ids_say_nothing() -> None:
    first, second = building.a_job("first"), building.a_job("second")
    for job_id, epochs in ((first, (1, 2)), (second, (2, 3))):
        building.start(job_id)
        for epoch in epochs:
            building.train_to(job_id, epoch)
        building.add_checkpoint(job_id, 2)

    found = [row for row in rows(first, second) if isinstance(row, tuple)]

    beside = [(a and a.split(" · ")[0], b and b.split(" · ")[0]) for a, b in found[2:]]
    assert beside == [
        ("epoch 1", None),
        ("epoch 2", "epoch 2"),
        (None, "epoch 3"),
        ("step 120",) * 2,
    ]


def test_a_long_log_is_shown_from_either_end() -> None:
    first, second = building.a_job("first"), building.a_job("second")
    for number in range(MAX_LINES + 5):
        building.add_log(first, "x" * number)
        building.add_log(second, "x" * number)
    building.add_log(second, "more")

    assert rows(first, second, "first") == [MAX_LINES]
    assert rows(first, second) == [("xxxxx", None), MAX_LINES - 1, (None, "more")]


def prefixes(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def test_every_schedule_is_offered_with_all_its_options() -> None:
    offered = {each.type: each.options for each in schedule_choices({"type": "step", "every": 4})}

    for name, spec in SCHEDULE_SPECS.items():
        assert {option.name for option in offered[name]} == set(spec.model_fields) - {"type"}
    every = next(option for option in offered["step"] if option.name == "every")
    assert (every.value, every.default) == (4, "10")


def test_a_form_has_a_place_for_everything_that_a_job_asks_for(client: TestClient) -> None:
    job_id = building.a_job("odd", dataset="odd one", **ODD)
    with transaction() as db:
        wish = without_defaults(JobStore(db).get(job_id).spec)

    page = html.unescape(client.get(f"/jobs/new?from={job_id}").text)

    enabled = re.sub(r"<fieldset [^>]*hidden disabled>.*?</fieldset>", "", page, flags=re.DOTALL)
    names = set(re.findall(r' name="([a-z._]+)"', enabled))
    lost = [path for path, _ in paths(wish) if not names & set(prefixes(path))]
    assert lost == []
    assert 'metadata = {"team.name": "\\"nlp\\" <b>"}' in page


def test_a_clone_may_begin_with_lower_learning_rates(client: TestClient) -> None:
    rates = {
        "optimizer": {"type": "adamw", "lr": 0.003},
        "schedule": {"type": "one_cycle", "max_lr": 0.05},
    }
    job_id = building.a_job("fast", training=rates)

    page = client.get(f"/jobs/new?from={job_id}&slower=10").text

    assert re.search(r'id="training\.optimizer\.lr"[^>]* value="0\.0003"', page)
    assert re.search(r'value="0\.005"[^>]* id="one_cycle-max_lr"', page)
