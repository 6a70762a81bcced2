"""What an experiment's arms are, and whose fault it is when one cannot be."""

from typing import Any

import pytest
from pydantic import ValidationError

from shared.jobs.errors import InvalidSpec
from shared.jobs.experiments import MAX_ARMS, ExperimentSpec
from shared.jobs.grid import Plan, plan
from shared.jobs.matching import TOLERANCE
from shared.nn.spec import CELL_SPECS
from tests.unit.jobs.test_resolve import facts

CELLS = list(CELL_SPECS)


def spec_of(vary: dict[str, Any], **changes: Any) -> ExperimentSpec:
    network = {"cell": "lstm", "hidden_size": 24, **changes.pop("network", {})}
    base = {"dataset": "d", "network": network, **changes.pop("base", {})}
    return ExperimentSpec.model_validate({"base": base, "vary": vary, **changes})


def planned(vary: dict[str, Any], *, kind: str = "class", max_jobs: int = 200, **sent: Any) -> Plan:
    return plan(spec_of(vary, **sent), facts(kind), max_jobs)


def faults(vary: dict[str, Any], **sent: Any) -> dict[str, str]:
    with pytest.raises(InvalidSpec) as caught:
        planned(vary, **sent)
    assert caught.value.param == caught.value.details[0]["param"]
    return {str(each["param"]): str(each["message"]) for each in caught.value.details}


def test_arms_are_the_grid_with_labels_and_models_of_their_own() -> None:
    found = planned(
        {
            "network.cell": ["gru", {"type": "lstm", "peephole": True}],
            "network.hidden_size": [4, [8, 6]],
            "training.optimizer.lr": [0.01],
        },
        name="which",
    )

    assert [arm.label for arm in found.arms] == [
        "gru, hidden_size=4, lr=0.01",
        "gru, hidden_size=[8, 6], lr=0.01",
        "lstm(peephole=true), hidden_size=4, lr=0.01",
        "lstm(peephole=true), hidden_size=[8, 6], lr=0.01",
    ]
    networks = [arm.spec.network for arm in found.arms]
    assert [network.layer_sizes for network in networks] == [(4,), (8, 6)] * 2
    assert {arm.spec.training.optimizer.type for arm in found.arms} == {"adamw"}
    assert {arm.spec.training.optimizer.lr for arm in found.arms} == {0.01}
    assert len({arm.spec.model_name for arm in found.arms}) == 4
    assert (found.arms[0].spec.name, found.metric) == (
        "which: gru, hidden_size=4, lr=0.01",
        "val/accuracy",
    )


def test_models_are_told_apart_also_where_a_url_cannot_hold_the_difference() -> None:
    found = planned({"network.cell": [{"type": "lstm", "forget_bias": b} for b in (-1, 1)]})

    assert len({arm.spec.model_name for arm in found.arms}) == 2


def test_a_base_without_a_cell_is_of_the_first_one_that_varies() -> None:
    body = {"base": {"dataset": "d"}, "vary": {"network.cell": ["mgu", "gru"]}}

    assert ExperimentSpec.model_validate(body).base.network.cell.type == "mgu"
    with pytest.raises(ValidationError, match=r"base\.network"):
        ExperimentSpec.model_validate({"base": {"dataset": "d"}, "vary": {}})


def test_a_list_of_sizes_gives_way_to_one_of_another_depth() -> None:
    found = planned({"network.hidden_size": [[8, 8], [4, 4, 4]]}, network={"hidden_size": [16, 16]})

    assert [arm.spec.network.num_layers for arm in found.arms] == [2, 3]


@pytest.mark.parametrize(
    ("vary", "param", "said"),
    [
        ({"network.cell": ["lstm", "gru", "lstn"]}, 'vary["network.cell"][2]', "lstn"),
        ({"network.cel": ["lstm"]}, 'vary["network.cel"][0]', "no such field"),
        ({"training.epochs.x": [1]}, 'vary["training.epochs.x"][0]', "has no fields"),
        ({"training.epochs": [1, "two"]}, 'vary["training.epochs"][1]', "integer"),
        ({"training.loss": ["mse"]}, 'vary["training.loss"][0]', "does not fit"),
        ({"training.seed": [1]}, 'vary["training.seed"]', "seeds"),
        ({"metadata.x": ["y"]}, 'vary["metadata.x"]', "metadata"),
        ({"network": [{}], "network.cell": ["gru"]}, 'vary["network.cell"]', "lies within"),
        ({"network.cell": ["gru", {"type": "gru"}]}, 'vary["network.cell"][1]', "same as 'gru'"),
    ],
)
def test_a_fault_names_the_value_it_comes_from(vary: dict[str, Any], param: str, said: str) -> None:
    assert said in faults(vary, base={"training": {"epochs": 2}})[param]


def test_a_value_that_does_not_go_with_the_base_is_named_itself() -> None:
    found = faults({"network.cell": ["lstm", "mingru"]}, network={"recurrent_dropout": 0.1})

    assert list(found) == ['vary["network.cell"][1]']


def test_what_the_base_has_wrong_by_itself_is_said_of_the_base_once() -> None:
    found = faults({"network.cell": ["lstm", "gru"]}, network={"attention": "dot"})

    assert list(found) == ["base.network.attention"]


def test_values_that_only_do_not_go_together_are_said_so() -> None:
    vary = {"network.num_layers": [1, 2], "network.residual": [False, True]}

    assert list(faults(vary)) == ['vary["network.residual"][1]']


def test_too_many_arms_and_jobs_are_refused_with_their_number() -> None:
    grid = {"network.hidden_size": list(range(1, 10)), "training.epochs": list(range(1, 9))}

    assert f"72 arms; {MAX_ARMS} are allowed" in faults(grid, seeds=[1])["vary"]
    assert (
        "2 arms with 3 seeds make 6 jobs; 5"
        in faults({"network.hidden_size": [1, 2]}, max_jobs=5)["vary"]
    )


def test_a_seed_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="seed 3 is there twice"):
        spec_of({}, seeds=[3, 1, 3])


@pytest.mark.parametrize("kind", ["class", "next", "text", "series of vectors", "vector"])
@pytest.mark.parametrize("network", [{}, {"hidden_size": [30, 20], "layer_norm": False}])
def test_matched_arms_have_the_parameters_of_the_base(kind: str, network: dict[str, Any]) -> None:
    found = planned({"network.cell": CELLS}, kind=kind, network=network, match="parameters")

    assert found.matching is not None
    base = planned({}, kind=kind, network=network)
    assert found.matching.target == base.arms[0].num_parameters
    off = [abs(arm.num_parameters - found.matching.target) for arm in found.arms]
    assert max(off) / found.matching.target == pytest.approx(found.matching.largest_deviation)
    assert found.matching.largest_deviation <= TOLERANCE


def test_no_other_hidden_size_is_nearer() -> None:
    found = planned({"network.cell": CELLS}, match="parameters")

    for arm in found.arms:
        size = arm.spec.network.hidden_size
        assert isinstance(size, int)
        others = planned(
            {"network.hidden_size": [size - 1, size + 1]}, network={"cell": arm.spec.network.cell}
        )
        assert found.matching is not None
        target = found.matching.target
        mine = abs(arm.num_parameters - target)
        assert all(mine <= abs(other.num_parameters - target) for other in others.arms)


def test_what_cannot_be_matched_is_refused_with_the_nearest_number() -> None:
    found = faults(
        {"network.cell": ["lstm", "elman"]}, network={"hidden_size": 2}, match="parameters"
    )

    assert "within 5%" in found['vary["network.cell"][1]']
    sized = faults({"network.hidden_size": [2, 3]}, match="parameters")
    assert "chooses the hidden sizes" in sized['vary["network.hidden_size"]']


def test_the_loss_ranks_nothing_where_it_varies() -> None:
    vary = {"training.loss": ["mse", "mae"]}

    assert planned(vary, kind="regression").metric == "val/mse"
    assert "something else" in faults(vary, kind="regression", metric="val/loss")["metric"]
    assert "val/mse" in faults(vary, kind="regression", metric="val/accuracy")["metric"]
