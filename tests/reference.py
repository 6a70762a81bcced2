"""`python -m tests.reference`: docs/reference.md, written from what both services say of themselves."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.api.app import create_app
from services.inference.app import create_app as create_inference_app

Json = dict[str, Any]
FILE = Path(__file__).parents[1] / "docs/reference.md"
METHODS = ("get", "post", "put", "patch", "delete")
HEAD = """\
# Reference of the HTTP interface

`make docs` writes this file from the OpenAPI of both services; change the code, not the text.
[http.md](http.md) says what things mean and how they go together. `/openapi.json` on each service
has the same for programs, and `/docs` on the API for trying.

Beside the answers that are listed, every operation may give the errors of
[these conventions](http.md#conventions).
"""
ONLY = {"api": "", "inference": "On the inference service. ", "both": "On both services. "}
LIMITS = {  # keywords of a schema, and how they read
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "as `{}`",
}


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    service: str
    """A key of `ONLY`."""
    about: Json

    @property
    def section(self) -> str:
        """Its first tag; operations without one come last."""
        return str((self.about.get("tags") or ["other"])[0])


def described() -> dict[str, Json]:
    return {"api": create_app().openapi(), "inference": create_inference_app().openapi()}


def operations_of(services: Mapping[str, Json]) -> list[Operation]:
    """Each once, in the order of the services; what both have is told of both."""
    found: dict[tuple[str, str], Operation] = {}
    for service, described in services.items():
        for path, operations in described["paths"].items():
            for method in (method for method in METHODS if method in operations):
                where = "both" if (path, method) in found else service
                found[path, method] = Operation(method, path, where, operations[method])
    return list(found.values())


def schemas_of(services: Mapping[str, Json]) -> dict[str, Json]:
    """Every named schema; where the services differ, the first one's."""
    found: dict[str, Json] = {}
    for described in services.values():
        for name, schema in described.get("components", {}).get("schemas", {}).items():
            found.setdefault(name, schema)
    return dict(sorted(found.items()))


def render(services: Mapping[str, Json]) -> str:
    """The whole document."""
    operations = operations_of(services)
    sections = list(dict.fromkeys(operation.section for operation in operations))
    sections.sort(key=lambda name: name == "other")
    parts = [HEAD]
    for section in sections:
        parts.append(f"## {section.capitalize()}\n")
        parts += [of_operation(each) for each in operations if each.section == section]
    parts.append("## Schemas\n")
    parts += [of_schema(*named) for named in schemas_of(services).items()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def of_operation(operation: Operation) -> str:
    about = operation.about
    text = one_line(about.get("description") or about.get("summary") or "")
    parts = [
        f"### `{operation.method.upper()} {operation.path}`\n",
        f"{ONLY[operation.service]}{text}".rstrip() + "\n",
        table(("parameter", "in", "type", "default", "meaning"), parameter_rows(about)),
        body_line(about),
        answers_line(about),
    ]
    return "\n".join(part for part in parts if part.strip()) + "\n"


def parameter_rows(about: Json) -> Iterator[tuple[str, ...]]:
    for parameter in about.get("parameters", []):
        schema = parameter.get("schema", {})
        default = "required" if parameter.get("required") else default_of(schema)
        meaning = parameter.get("description") or schema.get("description") or ""
        yield (code(parameter["name"]), parameter["in"], type_of(schema), default, meaning)


def body_line(about: Json) -> str:
    content = about.get("requestBody", {}).get("content", {})
    kinds = [f"`{kind}` {type_of(each.get('schema', {}))}" for kind, each in content.items()]
    return f"Body: {', or '.join(kinds)}.\n" if kinds else ""


def answers_line(about: Json) -> str:
    """What comes back when all is well; and of errors, those that are not everywhere the same."""
    good = [(s, r) for s, r in about.get("responses", {}).items() if int(s) < 400]
    told = [f"{status} {answer_of(response)}".rstrip() for status, response in good]
    particular = {"409": "a conflict", "416": "a range outside the file"}
    told += [f"{s} for {why}" for s, why in particular.items() if s in about.get("responses", {})]
    return f"Answers: {'; '.join(told)}.\n" if told else ""


def answer_of(response: Json) -> str:
    shown = []
    for kind, each in response.get("content", {}).items():
        schema = each.get("schema", {})
        is_json = kind == "application/json"
        shown.append(type_of(schema) if is_json and schema else code(kind))
    return ", or ".join(shown)


def of_schema(name: str, schema: Json) -> str:
    rows = field_rows(schema)
    parts = [
        f"### {name}\n",
        f"{one_line(schema.get('description', ''))}\n",
        table(("field", "type", "default", "meaning"), rows),
    ]
    if "properties" not in schema:
        parts.append(f"{type_of(schema)}\n")
    return "\n".join(part for part in parts if part.strip()) + "\n"


def field_rows(schema: Json) -> Iterator[tuple[str, ...]]:
    required = schema.get("required", [])
    for name, field in schema.get("properties", {}).items():
        default = "required" if name in required else default_of(field)
        limits = " ".join(f"({limit})" for limit in limits_of(field))
        meaning = " ".join(filter(None, (field.get("description", ""), limits)))
        yield (code(name), type_of(field), default, meaning)


def limits_of(schema: Json) -> Iterator[str]:
    """What bounds a field, also where null is allowed beside."""
    for part in (schema, *schema.get("anyOf", []), *schema.get("allOf", [])):
        for keyword, text in LIMITS.items():
            if keyword in part:
                yield text.format(whole(part[keyword]))


def whole(bound: Any) -> Any:
    """16384.0 as 16384."""
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def type_of(schema: Json) -> str:
    """A schema in a few words; whatever is not known is `any`."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return code(json.dumps(schema["const"]))
    if "enum" in schema:
        return " \\| ".join(code(json.dumps(value)) for value in schema["enum"])
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " \\| ".join(dict.fromkeys(type_of(each) for each in schema[union]))
    return of_type(schema, schema.get("type", "any"))


def of_type(schema: Json, kind: str | list[str]) -> str:
    if isinstance(kind, list):
        return " \\| ".join(of_type(schema, each) for each in kind)
    if kind == "array" and schema.get("items"):
        return f"list of {type_of(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    return f"{kind} ({schema['format']})" if schema.get("format") else kind


def default_of(schema: Json) -> str:
    if "default" not in schema:
        return ""
    text = json.dumps(schema["default"], ensure_ascii=False)
    return code(text) if len(text) <= 60 else "see its schema"


def table(columns: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [row_of(row) for row in rows]
    head = [row_of(columns), "|" + "---|" * len(columns)]
    return "\n".join([*head, *lines]) + "\n" if lines else ""


def row_of(cells: tuple[str, ...]) -> str:
    texts = (re.sub(r"(?<!\\)\|", r"\\|", one_line(cell)) for cell in cells)
    return "| " + " | ".join(texts) + " |"


def code(text: str) -> str:
    return f"`{text}`"


def one_line(text: str) -> str:
    return " ".join(str(text).split())


if __name__ == "__main__":
    FILE.write_text(render(described()))
    sys.stdout.write(f"{FILE.name} is written.\n")
