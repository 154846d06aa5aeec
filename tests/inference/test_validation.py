"""Files of a bundle that were damaged, swapped or made in malice are refused, and never run."""

from __future__ import annotations

import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ser_lib.errors import BundleError
from ser_lib.inference import validation
from ser_lib.inference.bundle import load_bundle
from ser_lib.inference.predictor import Predictor

NAMES = pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "arrays.npz", "README.md"])


# --- damage and mix-ups


@NAMES
def test_a_changed_file_is_refused(folder, name):
    raw = bytearray((folder / name).read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / name).write_bytes(raw)
    with pytest.raises(BundleError, match=f"{name} was changed"):
        load_bundle(folder)


@NAMES
def test_a_missing_file_is_refused(folder, reseal, name):
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)
    reseal()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def test_a_file_too_many_is_refused(folder, reseal):
    (folder / "extra.py").write_text("import os")
    with pytest.raises(BundleError, match=r"extra\.py"):
        load_bundle(folder)
    reseal()
    with pytest.raises(BundleError, match=r"extra\.py"):
        load_bundle(folder)


def test_a_file_for_keras_is_held_against_its_checksum_only(folder, reseal):
    (folder / "model.keras").write_bytes(b"whatever Keras writes")
    reseal()
    load_bundle(folder)
    (folder / "model.keras").write_bytes(b"whatever Keras wrote")
    with pytest.raises(BundleError, match=r"model\.keras was changed"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"a": NaN}', "\xff", "[" * 100_000], ids=str.__len__
)
def test_a_manifest_that_is_no_object_is_refused(folder, reseal, text):
    (folder / "bundle.json").write_bytes(text.encode("latin-1"))
    reseal()
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


# --- malice: checksums that fit


def test_swapped_weights_are_refused(folder, reseal, dense_graph):
    (folder / "model.onnx").write_bytes(dense_graph((1, 16, 60, 1), 4, seed=1))
    with pytest.raises(BundleError, match=r"model\.onnx was changed"):
        load_bundle(folder)
    reseal()
    with pytest.raises(BundleError, match="probe"):
        Predictor.load(folder)


def test_weights_of_another_shape_are_refused(folder, reseal, dense_graph):
    (folder / "model.onnx").write_bytes(dense_graph((1, 16, 60, 1), 5))
    reseal()
    with pytest.raises(BundleError, match=r"model\.onnx.*\(5,\)"):
        load_bundle(folder)


def test_links_are_refused_even_where_they_lead_to_the_same(folder, tmp_path):
    (folder / "README.md").rename(tmp_path / "outside.md")
    (folder / "README.md").symlink_to(tmp_path / "outside.md")
    with pytest.raises(BundleError, match=r"README\.md"):
        load_bundle(folder)


def test_a_name_that_leaves_the_folder_is_refused(folder):
    with (folder / "SHA256SUMS").open("a") as file:
        file.write("0" * 64 + "  ../../etc/passwd\n")
    with pytest.raises(BundleError, match=r"\.\./etc"):
        load_bundle(folder)


def test_a_huge_file_is_not_read(folder, monkeypatch):
    size = (folder / "model.onnx").stat().st_size
    monkeypatch.setattr(validation, "MAX_FILE_BYTES", size)
    load_bundle(folder)
    monkeypatch.setattr(validation, "MAX_FILE_BYTES", size - 1)
    with pytest.raises(BundleError, match=rf"model\.onnx.*{size - 1:,} bytes"):
        load_bundle(folder)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickled_arrays_are_refused_unread(folder, reseal, small_bundle):
    arrays = dict(small_bundle.arrays) | {"domain_centre": np.array([Bomb()] * 32, dtype=object)}
    np.savez(folder / "arrays.npz", **arrays)
    reseal()
    with pytest.raises(BundleError, match="domain_centre"):
        load_bundle(folder)


@pytest.mark.parametrize("name", ["bundle.json", "model.onnx", "arrays.npz"])
def test_a_pickle_in_place_of_a_file_is_refused_unread(folder, reseal, name):
    (folder / name).write_bytes(pickle.dumps(Bomb()))
    reseal()
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


def zip_of(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return packed.getvalue()


def npy(array) -> bytes:
    packed = io.BytesIO()
    np.save(packed, array)
    return packed.getvalue()


CENTRE = [("domain_centre.npy", npy(np.zeros(7)))]


def _damaged() -> bytes:
    raw = bytearray(zip_of(CENTRE))
    raw[50:58] = b"\xff" * 8  # within the deflated bytes
    return bytes(raw)


# What is done, and what the message names; at most 2000 bytes may be unpacked.
TRICKS = {
    "above": (lambda: zip_of([("../../evil.npy", b"")]), r"\.\./evil\.npy"),
    "absolute": (lambda: zip_of([("/etc/evil.npy", b"")]), "/etc/evil.npy"),
    "twice": (lambda: zip_of(CENTRE * 2), "two files"),
    "bomb": (lambda: zip_of([("domain_centre.npy", b"\0" * 2001)]), "2,001 bytes"),
    "junk": (lambda: zip_of([("domain_centre.npy", b"no array")]), "domain_centre"),
    "another method": (lambda: zip_of(CENTRE, zipfile.ZIP_LZMA), r"\[14\]"),
    "damaged": (_damaged, "arrays"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("trick", TRICKS)
def test_zip_tricks_are_refused(folder, reseal, monkeypatch, trick):
    pack, message = TRICKS[trick]
    monkeypatch.setattr(validation, "MAX_UNPACKED_BYTES", 2000)
    (folder / "arrays.npz").write_bytes(pack())
    reseal()
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_an_archive_that_lies_about_its_sizes_is_refused_and_not_unpacked(folder, reseal):
    raw = bytearray(zip_of([("domain_centre.npy", b"\0" * 20_000_000)]))
    central = raw.rfind(b"PK\x01\x02")
    raw[central + 24 : central + 28] = (10).to_bytes(4, "little")
    (folder / "arrays.npz").write_bytes(raw)
    reseal()
    tracemalloc.start()
    try:
        with pytest.raises(BundleError, match="arrays"):
            load_bundle(folder)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


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
    [(_external, "external"), (_foreign, "com.evil"), (_loop, "'Loop'"), (_function, "functions")],
)
def test_a_graph_that_does_more_than_a_network_is_refused(folder, reseal, change, message):
    model = onnx.load(folder / "model.onnx")
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    reseal()
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)
