"""The reference of the HTTP interface: not stale, and made from whatever a schema may hold."""

import re

import pytest

from tests.reference import FILE, Json, described, operations_of, render, type_of


def test_the_reference_is_what_make_docs_would_write() -> None:
    assert FILE.read_text() == render(described()), "run `make docs`"


def test_every_operation_has_its_heading_once() -> None:
    found = re.findall(r"^### `([A-Z]+) (/\S*)`$", FILE.read_text(), re.MULTILINE)
    operations = [(each.method.upper(), each.path) for each in operations_of(described())]

    assert len(found) > 20
    assert sorted(found) == sorted(operations)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "any"),
        ({"type": "string", "format": "date-time"}, "string (date-time)"),
        ({"type": ["string", "null"]}, r"string \| null"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, r"integer \| null"),
        ({"const": "job"}, '`"job"`'),
        ({"enum": ["a", 1]}, r'`"a"` \| `1`'),
        ({"type": "array", "items": {"$ref": "#/components/schemas/A"}}, "list of [A](#a)"),
        ({"type": "array"}, "array"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "object of number"),
        ({"type": "object", "additionalProperties": True}, "object"),
    ],
)
def test_a_schema_reads_in_a_few_words(schema: Json, text: str) -> None:
    assert type_of(schema) == text


def test_an_operation_that_says_nothing_of_itself_is_listed_all_the_same() -> None:
    bare: Json = {"paths": {"/x": {"get": {}, "parameters": []}}}
    full: Json = {
        "paths": {
            "/x": {
                "get": {},
                "post": {
                    "tags": ["things"],
                    "summary": "Make | one",
                    "parameters": [{"name": "n", "in": "query", "schema": {"default": "a|b"}}],
                    "requestBody": {"content": {"application/json": {}}},
                    "responses": {"201": {"description": "made"}, "409": {}},
                },
            }
        },
        "components": {"schemas": {"A": {"type": "string"}}},
    }

    text = render({"api": bare, "inference": full})

    assert "## Other\n\n### `GET /x`\n\nOn both services.\n" in re.sub(r" +\n", "\n", text)
    assert '| `n` | query | any | `"a\\|b"` |  |' in text
    assert "Body: `application/json` any." in text
    assert "Answers: 201; 409 for a conflict." in text
    assert text.index("## Things") < text.index("## Other") < text.index("### A\n")
