"""Write one strict JSON schema per Kubernetes kind from the API server's own OpenAPI document.

Strict: an object with declared fields takes no others, so a misspelt field fails instead of being ignored.
"""

import json
import sys
from pathlib import Path
from typing import Any

KINDS = "x-kubernetes-group-version-kind"
Schema = dict[str, Any]


def strict(schema: Any) -> Any:
    """Return the schema with every object closed that declares its fields."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    closed = {key: strict(part) for key, part in schema.items() if key != KINDS}
    if isinstance(schema.get("properties"), dict):
        closed.setdefault("additionalProperties", False)
    return closed


def with_kind(schema: Schema, group: str, version: str, kind: str) -> Schema:
    """Return the schema of a top-level object that must name its own version and kind."""
    api_version = f"{group}/{version}" if group else version
    names = {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
    return schema | {
        "properties": schema["properties"] | names,
        "required": sorted({*schema.get("required", []), *names}),
    }


def file_name(group: str, version: str, kind: str) -> str:
    """Return the name under which kubeconform looks for a kind.

    >>> file_name("networking.k8s.io", "v1", "NetworkPolicy")
    'networkpolicy-networking-v1.json'
    """
    return "-".join(part for part in (kind.lower(), group.split(".", maxsplit=1)[0], version) if part) + ".json"


def reachable(schema: Any, definitions: dict[str, Schema], found: dict[str, Schema]) -> dict[str, Schema]:
    """Return `found` with every definition that the schema refers to, directly or not."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    reference = schema.get("$ref") if isinstance(schema, dict) else None
    if isinstance(reference, str):
        name = reference.removeprefix("#/definitions/")
        if name not in found:
            found[name] = definitions[name]
            reachable(definitions[name], definitions, found)
    for part in parts:
        reachable(part, definitions, found)
    return found


def main(swagger: Path, target: Path) -> None:
    """Write the schemas of all kinds into the folder, one file each."""
    definitions: dict[str, Schema] = json.loads(swagger.read_text())["definitions"]
    closed = {name: strict(schema) for name, schema in definitions.items()}
    target.mkdir(parents=True, exist_ok=True)
    for name, schema in definitions.items():
        for kind in schema.get(KINDS, []):
            if "properties" not in schema:
                continue
            top = with_kind(closed[name], kind["group"], kind["version"], kind["kind"])
            top |= {"definitions": reachable(top, closed, {})}
            (target / file_name(kind["group"], kind["version"], kind["kind"])).write_text(json.dumps(top))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
