"""The commands of the documents for newcomers, typed as they stand, on one running service."""

import re
from pathlib import Path

from services.standalone import Standalone
from tests.acceptance.typed import ROOT, TESTED, typed

BY_OTHERS = {"README.md", "docs/operating.md"}  # test_readme.py, test_keys.py


def test_a_newcomer_gets_from_a_table_to_predictions(stack: Standalone, tmp_path: Path) -> None:
    uploaded, trained, asked, looked = typed("docs/start.md", stack, tmp_path)

    assert uploaded.startswith("ds_")
    assert "mappings\tmany_to_one" in uploaded
    assert "status\tsucceeded" in trained
    assert "model\treviews version 1" in trained
    assert len(re.findall(r"^(?:up|down) 0?\.?\d", asked, re.MULTILINE)) == 2
    assert '"label"' in asked
    assert "train/loss\t" in looked
    assert (tmp_path / "curves.csv").read_text().startswith("name,step,epoch,value,time")


def test_every_mapping_of_the_documents_is_what_its_data_makes(
    stack: Standalone, tmp_path: Path
) -> None:
    printed = typed("docs/mappings.md", stack, tmp_path)

    assert len(printed) == 7
    assert [re.findall("^status\t(.+)", text, re.MULTILINE) for text in printed] == [
        ["succeeded"]
    ] * 7
    answers = [text.strip().splitlines()[-1] for text in printed]
    assert re.match(r"(up|down) \d\.\d\d  ", answers[0])
    assert re.fullmatch(r"-?[\d.e+-]+", answers[1])
    assert set(answers[2].split()) <= {"DET", "NOUN", "VERB"}
    assert len(answers[2].split()) == 3
    assert 0 < len(answers[3]) <= 20
    assert re.match(r"(same|differ) ", answers[6])


def test_cells_are_compared_and_looked_into_as_the_document_says(
    stack: Standalone, tmp_path: Path
) -> None:
    board, ranked, gates = typed("docs/experiments.md", stack, tmp_path)

    planned, watched = board.split("#\t", 1)
    assert planned.startswith("ARM\tPARAMETERS")
    assert {row.split("\t")[1] for row in watched.splitlines()[1:]} == {"gru", "mingru"}
    assert "val/loss" in ranked
    assert ranked.count("job_") == 4
    arrays = [row.split("\t")[3] for row in gates.splitlines()]
    assert arrays == ["ARRAY", "r", "z", "n", "h"]


def test_no_tested_command_is_tested_by_nobody() -> None:
    here = Path(__file__).read_text()
    with_commands = [
        str(file.relative_to(ROOT))
        for file in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md"))
        if TESTED.search(file.read_text())
    ]

    assert [name for name in with_commands if name not in BY_OTHERS and name not in here] == []
    assert set(with_commands) >= BY_OTHERS
