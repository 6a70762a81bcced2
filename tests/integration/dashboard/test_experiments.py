"""The pages of experiments: what they list and say, and who may cancel and add seeds."""

import re
from typing import Any

import pytest
from fastapi.testclient import TestClient

from services.dashboard.views.dots import Row, plot
from services.dashboard.views.experiments import seeds_of, style
from shared.db.engine import transaction
from shared.db.experiments import ExperimentStore
from shared.db.keys import KeyStore
from shared.db.tables import ExperimentRow
from shared.db.viewer import Viewer, viewing
from shared.scopes import USUAL_SCOPES, Scope
from tests.browser.experimenting import TWO, an_experiment, train
from tests.integration.dashboard.conftest import OUR_PAGE

PAIR = {cell: values[:2] for cell, values in TWO.items()}
FOREIGN = {"Sec-Fetch-Site": "cross-site", "X-Unroll-Page": "1"}


def post(client: TestClient, path: str, **more: Any) -> Any:
    return client.post(f"/ui/experiments/{path}", headers=more.pop("headers", OUR_PAGE), **more)


def stored(experiment_id: str) -> ExperimentRow:
    with transaction() as db:
        return ExperimentStore(db).get(experiment_id)


def test_an_empty_list_says_how_to_make_one(client: TestClient) -> None:
    page = client.get("/experiments")

    assert page.status_code == 200
    assert "unroll experiments create examples/experiment.yaml" in page.text


def test_the_list_says_how_far_each_is_and_what_the_ended_ones_have_shown(
    client: TestClient,
) -> None:
    first = an_experiment("first <b>", PAIR)
    train(PAIR)
    second = an_experiment("second", PAIR)

    page = client.get("/experiments").text
    part = client.get("/ui/experiments")

    assert page.index(f"/experiments/{second}") < page.index(f"/experiments/{first}")
    for said in ("first &lt;b&gt;", "2 arms × 2 seeds", "gru has the best mean val/accuracy"):
        assert said in page
    assert "0 of 4 jobs have ended" in page
    tag = {"If-None-Match": part.headers["etag"]}
    assert client.get("/ui/experiments", headers=tag).status_code == 304


def test_a_page_has_the_conclusion_every_arm_every_seed_and_every_job(client: TestClient) -> None:
    experiment_id = an_experiment()
    train()

    page = client.get(f"/experiments/{experiment_id}").text

    assert "gru has the best mean val/accuracy, 0.92" in page
    assert page.count('r="4.5"') == 20
    assert page.count('r="5"') == 4
    assert re.search(r"<title>gru: 0\.92 after [\d.e-]+ s</title>", page)
    assert re.search(r"<td>0\.92 ± 0\.016</td><td>0\.94</td>", page)
    assert "gru: mean 0.92, 95 % interval 0.9004 to 0.9396; 5 seeds: 0.91, 0.92" in page
    assert "no clear difference" in page
    assert "0.92 ± 0.016" in page
    with transaction() as db:
        row = ExperimentStore(db).get(experiment_id)
        jobs = [run.job_id for run in ExperimentStore(db).runs(row, row.metric)]
    assert all(f'href="/jobs/{job_id}"' in page for job_id in jobs)
    assert 'data-send="/ui/experiments' not in page  # it has ended


def test_a_page_ranks_by_another_metric_and_takes_no_unknown_one(client: TestClient) -> None:
    path = f"/experiments/{an_experiment(reached=PAIR)}"

    assert "val/loss, lower is better" in client.get(path, params={"rank": "val/loss"}).text
    assert "val/accuracy, higher is better" in client.get(path, params={"rank": "none"}).text


def test_curves_are_means_of_an_arm_between_its_lowest_and_highest_seed(
    client: TestClient,
) -> None:
    experiment_id = an_experiment(reached=PAIR)
    train(PAIR)

    found = client.get(f"/ui/experiments/{experiment_id}/curves").json()

    assert (found["metric"], found["metrics"]) == ("val/accuracy", ["val/loss", "val/accuracy"])
    lstm, gru = found["curves"]
    assert (lstm["name"], gru["name"], gru["colour"], gru["dash"]) == ("lstm", "gru", 2, "dashed")
    assert (gru["low"][-1], gru["value"][-1], gru["high"][-1]) == (0.91, 0.915, 0.92)
    assert len(gru["epoch"]) == len(gru["step"])


def test_a_page_cancels_an_experiment_that_runs_and_then_says_so(client: TestClient) -> None:
    experiment_id = an_experiment(reached=PAIR)
    path = f"{experiment_id}/cancel"
    assert "/cancel" in client.get(f"/experiments/{experiment_id}").text

    answers = [post(client, path, headers=FOREIGN), post(client, path), post(client, path)]

    assert [answer.status_code for answer in answers] == [403, 204, 409]
    page = client.get(f"/experiments/{experiment_id}").text
    assert "cancelled" in page
    assert "/cancel" not in page
    assert "Add seeds" not in page


def test_seeds_are_added_and_the_answer_shows_them(client: TestClient) -> None:
    experiment_id = an_experiment(reached=PAIR)

    answer = post(client, f"{experiment_id}/seeds", data={"seeds": "3, 5..6"})

    assert answer.status_code == 200
    assert "2 arms × 5 seeds" in answer.text
    assert stored(experiment_id).seeds == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(
    ("seeds", "said"),
    [("", "at least 1 item"), ("x", "valid integer"), ("7, 7", "seed 7 is there twice")],
)
def test_what_is_no_list_of_new_seeds_is_refused_in_words(
    client: TestClient, seeds: str, said: str
) -> None:
    experiment_id = an_experiment(reached=PAIR)

    answer = post(client, f"{experiment_id}/seeds", data={"seeds": seeds})

    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "seeds")
    assert said in answer.json()["error"]["message"]
    assert stored(experiment_id).seeds == [1, 2]


def log_in(client: TestClient, *scopes: Scope) -> Viewer:
    with transaction() as db:
        row, secret = KeyStore(db).create("someone", scopes)
    client.post("/login", data={"key": secret}, headers=OUR_PAGE)
    return Viewer(row.id, sees_all=False)


def test_what_belongs_to_another_key_is_not_there(guarded: TestClient) -> None:
    theirs = an_experiment("theirs", PAIR)
    with viewing(log_in(guarded, *USUAL_SCOPES)):
        mine = an_experiment("mine", PAIR)

    assert guarded.get(f"/experiments/{mine}").status_code == 200
    missing = guarded.get(f"/experiments/{theirs}")
    assert missing.status_code == 404
    assert "There is no experiment" in missing.text
    for path in ("", "/curves"):
        assert guarded.get(f"/experiments/{theirs}{path}").status_code == 404
        assert guarded.get(f"/ui/experiments/{theirs}{path}").status_code == 404
    assert post(guarded, f"{theirs}/cancel").status_code == 404
    assert post(guarded, f"{theirs}/seeds", data={"seeds": "9"}).status_code == 404
    listed = guarded.get("/experiments").text
    assert ("mine" in listed, "theirs" in listed) == (True, False)


def test_a_key_that_may_only_look_sees_no_button_and_changes_nothing(guarded: TestClient) -> None:
    with viewing(log_in(guarded, Scope.READ)):
        experiment_id = an_experiment(reached=PAIR)

    page = guarded.get(f"/experiments/{experiment_id}")

    assert page.status_code == 200
    assert "data-send" not in page.text
    assert "Add seeds" not in page.text
    assert post(guarded, f"{experiment_id}/cancel").status_code == 403
    assert post(guarded, f"{experiment_id}/seeds", data={"seeds": "9"}).status_code == 403
    assert stored(experiment_id).cancelled_at is None


def test_without_a_login_the_pages_lead_to_it(guarded: TestClient) -> None:
    assert guarded.get("/experiments").headers["location"].startswith("/login")
    assert guarded.get("/ui/experiments").status_code == 401


def test_arms_past_the_sixth_differ_in_colour_or_in_dashes() -> None:
    assert len({style(index) for index in range(36)}) == 36


def test_a_range_of_seeds_is_written_with_two_dots() -> None:
    assert seeds_of("4, 7..9,a") == [4, 7, 8, 9, "a"]
    assert len(seeds_of("1..9999999")) == 101  # one more than a spec takes: it says so


def test_an_interval_that_is_far_wider_than_the_values_is_cut() -> None:
    found = plot([Row("lstm", 1, "solid", [0.5, 1.5], 1.0, (-5.4, 7.4))])

    assert found is not None
    assert found.is_cut
    assert found.rows[0].ends == []
    assert found.rows[0].dots == [34.33, 65.67]
    assert [text for _, text in found.ticks] == ["0", "1", "2"]


def test_equal_values_have_a_scale_too() -> None:
    found = plot([Row("lstm", 1, "solid", [0.0, 0.0], 0.0, None)])

    assert found is not None
    assert found.rows[0].mean == 50.0
    assert len(found.ticks) > 1
