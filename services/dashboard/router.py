"""The pages people look at."""

from pathlib import Path

from fastapi import APIRouter
from fastapi.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)
static_files = StaticFiles(directory=Path(__file__).parent / "static")
