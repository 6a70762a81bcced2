"""What the demo promises before it runs."""

from services.client.commands.demo import HELD_OUT, SPEC
from shared.data.builtin import BUILTINS, build_builtin
from shared.data.table import DatasetTable
from shared.jobs.spec import JobSpec


def test_the_demo_asks_for_a_spec_that_the_service_takes() -> None:
    assert JobSpec.model_validate(SPEC).model_name == "surnames"


def test_the_network_of_the_demo_never_sees_the_surnames_it_is_asked_for() -> None:
    table = DatasetTable.open(build_builtin(BUILTINS["surnames"]).arrow)
    train = table.preview("train", len(table.split("train")))

    trained_on = {record["input"] for record in train}
    locales = {record["target"] for record in train}

    assert len(trained_on) > 5_000
    assert not trained_on & {known.surname for known in HELD_OUT}
    assert {known.locale for known in HELD_OUT} <= locales
