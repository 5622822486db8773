import json
from pathlib import Path

import jsonschema
import pytest

from k8s import strict_schemas

SWAGGER = {
    "definitions": {
        "example.Widget": {
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "spec": {"$ref": "#/definitions/example.Spec"},
            },
            "type": "object",
            "x-kubernetes-group-version-kind": [{"group": "shop.example.com", "version": "v1", "kind": "Widget"}],
        },
        "example.Spec": {
            "properties": {"port": {"format": "int-or-string", "type": "string"}, "labels": {"type": "object"}},
            "type": "object",
        },
    }
}


@pytest.fixture
def widget(tmp_path: Path) -> jsonschema.Draft7Validator:
    (tmp_path / "swagger.json").write_text(json.dumps(SWAGGER))
    strict_schemas.main(tmp_path / "swagger.json", tmp_path / "schemas")
    return jsonschema.Draft7Validator(json.loads((tmp_path / "schemas" / "widget-shop-v1.json").read_text()))


def manifest(**spec: object) -> dict[str, object]:
    return {"apiVersion": "shop.example.com/v1", "kind": "Widget", "spec": spec}


def test_declared_fields_pass(widget: jsonschema.Draft7Validator) -> None:
    assert widget.is_valid(manifest(port=8000, labels={"any": "thing"}))
    assert widget.is_valid(manifest(port="http"))


def test_misspelt_field_fails_however_deep_it_stands(widget: jsonschema.Draft7Validator) -> None:
    assert not widget.is_valid(manifest(prot=8000))


def test_another_version_of_the_kind_fails(widget: jsonschema.Draft7Validator) -> None:
    assert not widget.is_valid(manifest() | {"apiVersion": "shop.example.com/v2"})


def test_object_without_its_kind_fails(widget: jsonschema.Draft7Validator) -> None:
    assert not widget.is_valid({"apiVersion": "shop.example.com/v1"})


@pytest.mark.parametrize(
    ("group", "kind", "name"),
    [
        ("", "Service", "service-v1.json"),
        ("apps", "Deployment", "deployment-apps-v1.json"),
        ("networking.k8s.io", "NetworkPolicy", "networkpolicy-networking-v1.json"),
    ],
)
def test_file_is_named_as_kubeconform_looks_for_it(group: str, kind: str, name: str) -> None:
    assert strict_schemas.file_name(group, "v1", kind) == name
