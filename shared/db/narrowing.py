"""What a key sees of each table: a condition that every SELECT made for its request gets."""

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria

from shared.db.tables import (
    CheckpointRow,
    DatasetRow,
    ExperimentRow,
    JobRow,
    ModelAliasRow,
    ModelRow,
    ModelVersionRow,
    Row,
)
from shared.db.viewer import BUILTIN, current_viewer

NO_KEY = "nobody"  # the id of none
EVERYONES = {"everyones": True}
"""Execution options of a query that counts everyone's rows and shows none of them."""


def conditions(owner: str) -> dict[type[Row], ColumnElement[bool]]:
    """The rows of other tables are reached through these."""
    own_jobs = select(JobRow.id).where(JobRow.owner == owner)
    return {
        JobRow: JobRow.owner == owner,
        CheckpointRow: CheckpointRow.job_id.in_(own_jobs),
        ExperimentRow: ExperimentRow.owner == owner,
        DatasetRow: (DatasetRow.owner == owner) | (DatasetRow.source == BUILTIN),
        ModelRow: ModelRow.owner == owner,
        ModelVersionRow: ModelVersionRow.owner == owner,
        ModelAliasRow: ModelAliasRow.owner == owner,
    }


def narrow(state: ORMExecuteState) -> None:
    """Listens to every ORM statement; `shared.db.engine` sees to that."""
    viewer = current_viewer()
    is_free = viewer.sees_all or "everyones" in state.execution_options
    if is_free or not state.is_select or state.is_column_load:
        return
    state.statement = state.statement.options(
        *(
            with_loader_criteria(table, condition, include_aliases=True)
            for table, condition in conditions(viewer.owner or NO_KEY).items()
        )
    )
