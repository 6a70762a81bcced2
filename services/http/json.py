"""Large answers as JSON, quickly; numbers that JSON lacks become null."""

from typing import Any

import orjson
from fastapi import Response


def json_response(body: Any, status: int = 200) -> Response:
    """`body` may hold anything that JSON has, arrays, and NaN, which it has not."""
    text = orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(text, status, media_type="application/json")
