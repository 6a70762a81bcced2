"""Which cells there are."""

from typing import Any

from fastapi import APIRouter

from shared.nn.catalog import describe_cells

router = APIRouter(prefix="/v1/cells", tags=["cells"])


@router.get("")
def list_cells() -> dict[str, Any]:
    """Every cell with its options, equation, size, source and kernel."""
    cells = describe_cells()
    names = [cell["type"] for cell in cells]
    return {
        "object": "list",
        "data": cells,
        "first_id": names[0],
        "last_id": names[-1],
        "has_more": False,
    }
