"""A validator's faults in words of JSON: where each lies, and what is wrong. Knows no HTTP."""

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from shared.jobs.errors import shortened

PLACES = ("body", "query", "path", "header")  # of a request, which no JSON path begins with


def said(fault: ErrorDetails) -> str:
    """What is wrong in words of JSON; the library's own speak of Python."""
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "union_tag_invalid":
        tag, known = fault["ctx"]["tag"], fault["ctx"]["expected_tags"]
        return f"{shortened(tag)!r} is none of {known}"
    return WORDS.get(fault["type"]) or WORDS.get(message, message)


AN_OBJECT = "Input should be a JSON object"
WORDS = {
    "model_type": AN_OBJECT,
    "model_attributes_type": AN_OBJECT,
    "dict_type": AN_OBJECT,
    "string_unicode": "Input should be text: half of a surrogate pair is none",
    "missing": "This is required",
    "union_tag_not_found": "This needs a type",
    "extra_forbidden": "There is no such field",
    "Expected UploadFile, received: <class 'str'>": "This must be a file with a name",
}


def path_of(loc: Sequence[int | str], body: Any) -> Iterator[int | str]:
    """The JSON path that a client would write: no place of the request, no tags of unions."""
    parts = list(loc[1:]) if loc and loc[0] in PLACES else list(loc)
    current = body
    for index, part in enumerate(parts):
        is_last = index == len(parts) - 1
        if isinstance(current, dict):
            if part not in current and not is_last:
                continue  # the tag of a union
            current = current.get(part)
        elif isinstance(current, list) and isinstance(part, int) and part < len(current):
            current = current[part]
        yield part
