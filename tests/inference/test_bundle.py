"""Bundles: what is written is read back; what was damaged, swapped or made in malice is refused."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
import zipfile
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ser_lib.errors import BundleError
from ser_lib.export.refit import _without_idle_layers
from ser_lib.features.registry import FeatureSpec
from ser_lib.inference.bundle import (
    find_bundle,
    installed_bundles,
    load_bundle,
    probe_signal,
    write_bundle,
)
from ser_lib.inference.predictor import Predictor


@pytest.fixture
def folder(small_folder, tmp_path):
    return shutil.copytree(small_folder, tmp_path / "small")


def reseal(folder) -> None:
    """Write checksums that fit, as somebody would who means harm."""
    names = [path.name for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256((folder / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


def edit(folder, **changes) -> None:
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(manifest))
    reseal(folder)


def rewrite_arrays(folder, **arrays) -> None:
    np.savez(folder / "arrays.npz", **arrays)
    reseal(folder)


def test_what_is_written_is_read_back(small_folder, small_bundle):
    loaded = load_bundle(small_folder)
    for name in ("labels", "features", "input_shape", "temperature", "threshold", "graph"):
        assert getattr(loaded, name) == getattr(small_bundle, name)
    np.testing.assert_array_equal(loaded.domain.centre, small_bundle.domain.centre)
    assert (small_folder / "README.md").read_text() == "# A card"


def test_checksums_are_those_of_sha256sum(small_folder):
    for line in (small_folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((small_folder / name).read_bytes()).hexdigest() == digest


def test_a_bundle_replaces_a_bundle_and_nothing_else(small_bundle, folder, tmp_path):
    changed = replace(small_bundle, title="Another")
    assert load_bundle(write_bundle(changed, folder, card="b")).title == "Another"
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "to-mother.txt").write_text("Dear")
    with pytest.raises(BundleError, match="something else"):
        write_bundle(small_bundle, tmp_path / "letters", card="a")
    assert [path.name for path in tmp_path.glob(".bundle-*")] == []


def test_a_bundle_that_is_not_sound_is_not_written(small_bundle, tmp_path):
    with pytest.raises(BundleError, match="arrays"):
        write_bundle(replace(small_bundle, arrays={}), tmp_path / "new", card="a")
    assert not (tmp_path / "new").exists()


def test_a_bundle_is_found_by_name_and_by_folder(small_folder, monkeypatch):
    monkeypatch.setenv("SER_BUNDLES", str(small_folder.parent))
    assert find_bundle("small") == find_bundle(small_folder) == small_folder
    assert installed_bundles() == [small_folder]
    with pytest.raises(BundleError, match="installed are: small"):
        find_bundle("large")


def test_the_committed_bundles_are_sound():
    found = installed_bundles()
    assert found, "no bundle is committed"
    for one in found:
        bundle = load_bundle(one)
        assert len(bundle.probe) == len(bundle.labels)
        assert {"score", "run", "corpora", "made_with"} <= set(bundle.card)
        assert "with changes" not in bundle.card["made_with"]["commit"]
        assert sum(path.stat().st_size for path in one.iterdir()) < 6 * 2**20


# --- damage and mix-ups


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "arrays.npz", "README.md"])
def test_a_changed_file_is_refused(folder, name):
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"{name} was changed"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "arrays.npz", "README.md"])
def test_a_lacking_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)
    reseal(folder)
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def test_a_file_too_many_is_refused(folder):
    (folder / "extra.py").write_text("import os")
    with pytest.raises(BundleError, match="not listed"):
        load_bundle(folder)
    reseal(folder)
    with pytest.raises(BundleError, match="belongs to no bundle"):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "reads version 3"),
        ({"format": "other"}, "of form 'other'"),
        ({"kind": "pickle"}, "kind 'pickle'"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": ["a", "a", "b", "c"]}, "labels"),
        ({"labels": ["a", "b", "c", "d\n"]}, "labels"),
        ({"labels": "abcd"}, "labels"),
        ({"labels": ["a", "b", "c"], "probe": [0.1, 0.2, 0.7]}, "not its own"),
        ({"input_shape": [1, 16, 61, 1]}, "not its own"),
        ({"input_shape": [10**9]}, "no shape"),
        ({"input_shape": [100_000] * 4}, "no shape"),
        ({"input_shape": [960]}, "does not fit the feature 'mel_chunks', which has 3 axes"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"threshold": 2}, "threshold"),
        ({"domain_limit": -1}, "domain_limit"),
        ({"probe": [0.5]}, "probe"),
        ({"features": {"name": "no_such", "version": 1}}, "unknown feature"),
        ({"speaker": {"temperature": 1}}, "known voice"),
        ({"encoder": 3}, "bundle.json"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder, changes, message):
    edit(folder, **changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "train it again"),
        ({"sample_rate_hz": 10}, "sample_rate_hz"),
        ({"params": {"n_mels": 10**9}}, "n_mels"),
        ({"params": {"n_mels": "../../etc/passwd"}}, "n_mels"),
        ({"params": {"no_such": 1}}, "no parameters"),
        ({"name": "encoder_views", "params": {"encoder": "file.onnx"}}, "known are"),
    ],
)
def test_a_feature_spec_that_does_not_fit_is_refused(folder, changes, message):
    features = json.loads((folder / "bundle.json").read_text())["features"]
    edit(folder, features=features | changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize("key", ["labels", "features", "temperature", "probe", "card", "version"])
def test_a_manifest_without_a_key_is_refused(folder, key):
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest[key]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    reseal(folder)
    with pytest.raises(BundleError, match=key):
        load_bundle(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": NaN}', "\xff", "[" * 100_000], ids=str.__len__
)
def test_a_manifest_that_is_no_object_is_refused(folder, text):
    (folder / "bundle.json").write_bytes(text.encode("latin-1"))
    reseal(folder)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


# --- malice: checksums that fit


def test_swapped_weights_are_refused(folder, dense_graph):
    (folder / "model.onnx").write_bytes(dense_graph((1, 16, 60, 1), 4, seed=1))
    with pytest.raises(BundleError, match="was changed"):
        load_bundle(folder)
    reseal(folder)
    with pytest.raises(BundleError, match="something else about the probe"):
        Predictor.load(folder)


def test_weights_of_another_shape_are_refused(folder, dense_graph):
    (folder / "model.onnx").write_bytes(dense_graph((1, 16, 60, 1), 5))
    reseal(folder)
    with pytest.raises(BundleError, match="not its own"):
        load_bundle(folder)


def test_links_are_refused(folder, tmp_path):
    (folder / "README.md").unlink()
    (folder / "README.md").symlink_to(tmp_path / "small" / "bundle.json")
    with pytest.raises(BundleError, match="no plain file"):
        load_bundle(folder)


def test_a_name_that_leaves_the_folder_is_refused(folder):
    with (folder / "SHA256SUMS").open("a") as file:
        file.write("0" * 64 + "  ../../etc/passwd\n")
    with pytest.raises(BundleError, match="belongs to no bundle"):
        load_bundle(folder)


def test_a_huge_file_is_not_read(folder):
    with (folder / "model.onnx").open("ab") as file:
        file.truncate(2**31)
    with pytest.raises(BundleError, match="larger than"):
        load_bundle(folder)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickled_arrays_are_refused_unread(folder, small_bundle):
    arrays = dict(small_bundle.arrays) | {"domain_centre": np.array([Bomb()] * 32, dtype=object)}
    rewrite_arrays(folder, **arrays)
    with pytest.raises(BundleError, match="no plain array"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "arrays.npz"])
def test_a_pickle_in_place_of_a_file_is_refused_unread(folder, name):
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    reseal(folder)
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"domain_centre": np.full(32, np.nan)}, "NaN"),
        ({"domain_centre": np.zeros(32, int)}, "not plain floats"),
        ({"domain_centre": np.zeros(33)}, "another shape"),
        ({"domain_whitening": np.array(1.0)}, "another shape"),
        ({"domain_whitening": np.zeros((32, 0))}, "another shape"),
        ({"domain_whitening": np.zeros((32, 2, 2))}, "another shape"),
        ({"something": np.zeros(7)}, "no bundle has"),
        ({"input_mean": np.zeros((1, 16, 60, 1))}, "lacks"),
        (
            {"input_mean": np.zeros((1, 16, 60, 1)), "input_scale": np.zeros((1, 16, 60, 1))},
            "not above 0",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(folder, small_bundle, arrays, message):
    rewrite_arrays(folder, **dict(small_bundle.arrays) | arrays)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def zip_of(members: list[tuple[str, bytes]]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def npy(array) -> bytes:
    packed = io.BytesIO()
    np.save(packed, array)
    return packed.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("../../evil.npy", b"")], "no bundle has"),
        ([("/etc/evil.npy", b"")], "no bundle has"),
        ([("domain_centre.npy", npy(np.zeros(7)))] * 2, "two files of one name"),
        ([("domain_centre.npy", b"\0" * (300 * 2**20))], "would unpack to"),
        ([("domain_centre.npy", b"no array")], "no plain array"),
    ],
    ids=["above", "absolute", "twice", "bomb", "junk"],
)
def test_zip_tricks_are_refused(folder, members, message):
    (folder / "arrays.npz").write_bytes(zip_of(members))
    reseal(folder)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_an_archive_that_lies_about_its_sizes_is_refused(folder):
    raw = bytearray(zip_of([("domain_centre.npy", b"\0" * 100_000)]))
    central = raw.rfind(b"PK\x01\x02")
    raw[central + 24 : central + 28] = (10).to_bytes(4, "little")
    (folder / "arrays.npz").write_bytes(raw)
    reseal(folder)
    with pytest.raises(BundleError, match="arrays"):
        load_bundle(folder)


def hostile_graph(folder, change) -> None:
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    reseal(folder)


def _external(model):
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _foreign(model):
    model.graph.node[0].domain = "com.evil"


def _loop(model):
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", ""], ["y"], body=body))


def _function(model):
    model.functions.append(
        helper.make_function("local", "f", [], [], [], [helper.make_opsetid("", 17)])
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_external, "outside of itself"),
        (_foreign, "com.evil"),
        (_loop, "loop or branch"),
        (_function, "functions of its own"),
    ],
)
def test_a_graph_that_does_more_than_a_network_is_refused(folder, change, message):
    hostile_graph(folder, change)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


# --- Keras files


def keras_config(**layer) -> dict:
    good = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 4}}
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {"layers": [good | layer]},
    }


def with_keras(folder, config, *, extra=()) -> None:
    members = [
        ("config.json", json.dumps(config).encode()),
        ("metadata.json", b"{}"),
        ("model.weights.h5", b""),
        *extra,
    ]
    (folder / "model.keras").write_bytes(zip_of(members))
    reseal(folder)


def test_a_keras_file_of_known_layers_is_accepted(folder):
    with_keras(folder, keras_config())
    load_bundle(folder)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ({"class_name": "Lambda"}, "Lambda"),
        ({"class_name": "TorchModuleWrapper"}, "TorchModuleWrapper"),
        ({"class_name": "system", "module": "os"}, "'os'"),
        ({"registered_name": "evil>Dense"}, "registered by somebody"),
        ({"class_name": "function", "module": "builtins"}, "builtins"),
        ({"class_name": "__lambda__", "module": None}, "__lambda__"),
        ({"config": {"activation": {"class_name": "get_file", "module": "keras.utils"}}}, "utils"),
        ({"module": ["keras.layers"]}, "none of the networks"),
    ],
)
def test_a_keras_file_with_code_in_it_is_refused(folder, layer, message):
    with_keras(folder, keras_config(**layer))
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_a_keras_file_with_other_files_in_it_is_refused(folder):
    with_keras(folder, keras_config(), extra=[("assets/../../evil.py", b"")])
    with pytest.raises(BundleError, match="no bundle has"):
        load_bundle(folder)


def test_the_probe_is_a_sound_that_every_feature_takes():
    signal = probe_signal(16_000)
    assert signal.shape == (64_000,)
    assert 0.05 < np.abs(signal).max() < 1
    assert FeatureSpec("mel_chunks").name


def test_layers_that_no_head_weighs_are_dropped_and_no_answer_moves(rng):
    shape, n_classes = (2, 5, 3, 4), 3
    n_flat = int(np.prod(shape))
    weights = rng.standard_normal((*shape, n_classes))
    weights[:, 3:] = 0
    arrays = {
        "head_weights": weights.reshape(n_flat, n_classes),
        "speaker_head_weights": np.zeros((n_flat, n_classes)),
        "head_mean": rng.standard_normal(n_flat),
        "head_bias": rng.standard_normal(n_classes),
    }
    spec = FeatureSpec("encoder_views", params={"encoder": "moonshine-base"})
    cut_spec, cut_shape, cut = _without_idle_layers(spec, shape, arrays)
    assert cut_shape == (2, 3, 3, 4)
    assert cut_spec.params["n_layers"] == 3
    values = rng.standard_normal(shape)
    whole = (values.ravel() - arrays["head_mean"]) @ arrays["head_weights"]
    fewer = (values[:, :3].ravel() - cut["head_mean"]) @ cut["head_weights"]
    np.testing.assert_allclose(fewer, whole)
    assert cut["head_bias"] is arrays["head_bias"]
    # A layer that the head for known voices alone looks at is kept.
    arrays["speaker_head_weights"].reshape(*shape, n_classes)[0, 3, 0, 0, 0] = 1.0
    assert _without_idle_layers(spec, shape, arrays)[1] == (2, 4, 3, 4)
