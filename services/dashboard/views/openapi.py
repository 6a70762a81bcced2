"""An OpenAPI document as something to read: operations by tag, fields by name. Knows no route."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

VERBS = ("get", "post", "put", "patch", "delete")
JSON = "application/json"
LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "length ≥ {}",
    "maxLength": "length ≤ {}",
    "maxItems": "≤ {} items",
    "pattern": "matches {}",
}
Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    type: str
    required: bool
    about: str
    """Description, limits, default."""
    place: str = ""
    """path, query or header, for a parameter."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: str
    about: str
    type: str


@dataclass(frozen=True, slots=True)
class Operation:
    id: str
    verb: str
    path: str
    about: str
    parameters: list[Field]
    body: list[Field]
    body_kind: str
    body_type: str
    answers: list[Answer]
    errors: list[Answer]


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    about: str
    fields: list[Field]
    values: list[str]
    """Of an enumeration."""


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    version: str
    about: str
    tags: dict[str, list[Operation]]
    models: list[Model]

    @property
    def model_names(self) -> frozenset[str]:
        return frozenset(model.name for model in self.models)


def document(openapi: dict[str, Any]) -> Document:
    tags: dict[str, list[Operation]] = {}
    for path, verbs in openapi["paths"].items():
        for verb in VERBS:
            if verb in verbs:
                tag = verbs[verb].get("tags", ["other"])[0]
                tags.setdefault(tag, []).append(_operation(verb, path, verbs[verb], openapi))
    models = openapi.get("components", {}).get("schemas", {})
    info = openapi["info"]
    return Document(
        title=info["title"],
        version=info["version"],
        about=info.get("summary", ""),
        tags=tags,
        models=[_model(name, schema) for name, schema in sorted(models.items())],
    )


def _operation(verb: str, path: str, spec: Schema, openapi: dict[str, Any]) -> Operation:
    kind, body_type, body = _body(spec.get("requestBody"), openapi)
    answers = [_answer(status, each) for status, each in sorted(spec["responses"].items())]
    return Operation(
        id=anchor(f"{verb}-{path}"),
        verb=verb.upper(),
        path=path,
        about=spec.get("description") or spec.get("summary", ""),
        parameters=[_parameter(each) for each in spec.get("parameters", ())],
        body=body,
        body_kind=kind,
        body_type=body_type,
        answers=[answer for answer in answers if answer.status < "4"],
        errors=[answer for answer in answers if answer.status >= "4"],
    )


def anchor(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-")


def _parameter(spec: Schema) -> Field:
    schema = spec.get("schema", {})
    about = _about({**schema, "description": spec.get("description", "")})
    required = spec.get("required", False)
    return Field(spec["name"], type_of(schema), required, about, spec["in"])


def _body(spec: Schema | None, openapi: dict[str, Any]) -> tuple[str, str, list[Field]]:
    """Media type of the body and its model, or its fields where it is a form."""
    if spec is None:
        return "", "", []
    kind, content = next(iter(spec["content"].items()))
    model = type_of(content["schema"])
    if kind == JSON:
        return kind, model, []
    return kind, "", list(_fields(openapi["components"]["schemas"][model]))


def _answer(status: str, spec: Schema) -> Answer:
    kind = next(iter(spec.get("content", {})), "")
    schema = spec["content"][kind].get("schema") if kind else None
    return Answer(
        status=status,
        about=spec.get("description", ""),
        type=type_of(schema) if kind == JSON and schema else kind,
    )


def _model(name: str, schema: Schema) -> Model:
    values = [json.dumps(value) for value in schema.get("enum", ())]
    return Model(name, schema.get("description", ""), list(_fields(schema)), values)


def _fields(schema: Schema) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, each in schema.get("properties", {}).items():
        yield Field(name, type_of(each), name in required, _about(each))


def _about(schema: Schema) -> str:
    parts = [schema.get("description", "").strip(), *_limits(schema)]
    if "default" in schema and schema["default"] is not None:
        parts.append(f"default {json.dumps(schema['default'], ensure_ascii=False)}")
    return " · ".join(part for part in parts if part)


def _limits(schema: Schema) -> Iterator[str]:
    for each in (schema, *schema.get("anyOf", ())):
        yield from (text.format(_said(each[key])) for key, text in LIMITS.items() if key in each)


def _said(limit: Any) -> Any:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit


def type_of(schema: Schema) -> str:
    """`array of string`, `integer or null`, `"a" | "b"`, or the name of a model."""
    if "$ref" in schema:
        return _name(schema["$ref"])
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(dict.fromkeys(type_of(choice) for choice in choices))
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    if "const" in schema:
        return json.dumps(schema["const"])
    return _plain(schema)


def _plain(schema: Schema) -> str:
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {type_of(schema.get('items', {}))}"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict) and values:
        return f"object of {type_of(values)}"
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)


def _name(ref: str) -> str:
    return ref.rpartition("/")[2]
