"""What a model bundle says of itself: each file's hash, what goes in and comes out, what it was trained on and with."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

import msgspec

from churn.declaration import Declaration
from churn.errors import DataError
from churn.model import Model, encode, sha256

MANIFEST_FILE, MODEL_FILE = "manifest.json", "model.json"
FORMAT = 1
OUTPUTS = ("probability", "contributions")
LIBRARIES = ("lightgbm", "msgspec", "numpy", "river", "scikit-learn")
UNKNOWN_HORIZON = 0


class Signature(msgspec.Struct, frozen=True):
    """Inputs in the order of the vector, all float32 with NaN for missing; days that the probability looks ahead."""

    inputs: list[str]
    dtype: str
    outputs: list[str]
    horizon_days: int
    """0: the model does not say."""


class Manifest(msgspec.Struct, frozen=True):
    """The root of a bundle: a champion record holds this file's hash, and this file the hashes of all others."""

    format: int
    model: str
    kind: str
    files: dict[str, str]
    signature: Signature
    feature_set_version: str
    data_fingerprint: str
    libraries: dict[str, str]


def files_of(model: Model) -> dict[str, bytes]:
    """Return a model's bundle by file name; the same model gives the same bytes with the same libraries."""
    data = encode(model)
    manifest = Manifest(
        FORMAT,
        model.name,
        str(msgspec.to_builtins(model)["kind"]),
        {MODEL_FILE: sha256(data)},
        _signature(model),
        model.feature_set_version,
        str(model.trained.get("data_fingerprint", "")),
        dict(_libraries()),
    )
    return {MODEL_FILE: data, MANIFEST_FILE: msgspec.json.format(msgspec.json.encode(manifest), indent=1)}


def _signature(model: Model) -> Signature:
    horizon = int(model.trained.get("horizon_days", UNKNOWN_HORIZON))
    return Signature(list(model.features), "float32", list(OUTPUTS), horizon)


def _libraries() -> Mapping[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an image that only serves has no need of those that only train
            continue
    return found


def signature_of(declaration: Declaration) -> Signature:
    """Return what a model must take and give to serve a declaration."""
    return Signature(list(declaration.feature_names), "float32", list(OUTPUTS), declaration.label.horizon_days)


def read(data: bytes, where: str) -> Manifest:
    """Read a manifest; `where` names it in messages.

    Raises:
        DataError: it is none, or of a format that this version does not know.
    """
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where}: not a bundle's manifest: {error}") from error
    if manifest.format != FORMAT:
        raise DataError(
            f"{where}: format {manifest.format} of bundles is not known here, only {FORMAT}; update the program"
        )
    return manifest


def check_files(manifest: Manifest, files: Mapping[str, bytes], where: str) -> None:
    """Raise DataError unless `files` are those that the manifest names, byte for byte, and no others."""
    there = set(files) - {MANIFEST_FILE}
    if missing := sorted(set(manifest.files) - there):
        raise DataError(f"{where}: the manifest names {', '.join(missing)}, which cannot be read; do not serve it")
    if extra := sorted(there - set(manifest.files)):
        raise DataError(f"{where}: {', '.join(extra)} is not in the manifest; do not serve it")
    for name, digest in manifest.files.items():
        if (seen := sha256(files[name])) != digest:
            raise DataError(f"{where}/{name}: sha256 {seen[:12]} is not the manifest's {digest[:12]}; do not serve it")


def check_signature(manifest: Manifest, model: Model, expected: Signature | None, where: str) -> None:
    """Raise DataError unless manifest and model agree, and take and give what is expected."""
    said = manifest.signature
    if said != _signature(model) or manifest.feature_set_version != model.feature_set_version:
        raise DataError(f"{where}: the manifest's signature is not that of the model beside it; do not serve it")
    if expected is None:
        return
    if said.inputs != expected.inputs:
        raise DataError(f"{where}: the model reads other features than the declaration has; train it anew")
    if said.dtype != expected.dtype or said.outputs != expected.outputs:
        raise DataError(f"{where}: the model takes {said.dtype} and gives {said.outputs}; update the program")
    if said.horizon_days not in (UNKNOWN_HORIZON, expected.horizon_days):
        ahead = f"{said.horizon_days} days ahead, the declaration's label {expected.horizon_days}"
        raise DataError(f"{where}: the model looks {ahead}; train a model for this label")
