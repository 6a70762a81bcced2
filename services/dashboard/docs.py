"""`/docs`: the API described in a page that works offline."""

from fastapi import APIRouter

docs_router = APIRouter(include_in_schema=False)
