"""Bundles: what is written is read back, found by name, and fits together."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from ser_lib.errors import BundleError
from ser_lib.inference.bundle import (
    better_bundle,
    default_bundle,
    find_bundle,
    installed_bundles,
    load_bundle,
    probe_signal,
    write_bundle,
)
from ser_lib.inference.predictor import Predictor
from ser_lib.paths import PROJECT_DIR


def load_sums(folder):
    return {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("bundle.json", "README.md", "SHA256SUMS")
    }


def test_what_is_written_is_read_back(small_folder, small_bundle):
    loaded = load_bundle(small_folder)
    for name in ("labels", "features", "input_shape", "temperature", "threshold", "graph"):
        assert getattr(loaded, name) == getattr(small_bundle, name)
    np.testing.assert_array_equal(loaded.domain.centre, small_bundle.domain.centre)
    assert (small_folder / "README.md").read_text() == "# A card"
    assert loaded.sha256 == hashlib.sha256((small_folder / "SHA256SUMS").read_bytes()).hexdigest()


def test_checksums_are_those_of_sha256sum(small_folder):
    for line in (small_folder / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((small_folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("has_rule", [True, False])
def test_git_changes_no_line_end_of_a_bundle(tmp_path, small_folder, has_rule):
    """As Git for Windows does, unless the rules of the project forbid it."""
    first, second = tmp_path / "first", tmp_path / "second"
    shutil.copytree(small_folder, first)
    if has_rule:
        shutil.copy(PROJECT_DIR / ".gitattributes", first)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(first)]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True)
    clone = ["git", "-c", "core.autocrlf=true", "clone", "-q", str(first), str(second)]
    subprocess.run(clone, check=True)
    assert (load_sums(second) == load_sums(small_folder)) is has_rule


def test_a_bundle_replaces_a_bundle_and_nothing_else(small_bundle, folder, tmp_path):
    changed = replace(small_bundle, title="Another")
    assert load_bundle(write_bundle(changed, folder, card="b")).title == "Another"
    (tmp_path / "letters").mkdir()
    # A name that a bundle has as well makes no bundle of a folder.
    for name in ("to-mother.txt", "README.md"):
        (tmp_path / "letters" / name).write_text("Dear")
        with pytest.raises(BundleError, match="letters"):
            write_bundle(small_bundle, tmp_path / "letters", card="a")
        assert (tmp_path / "letters" / name).read_text() == "Dear"
        (tmp_path / "letters" / name).unlink()
    assert [path.name for path in tmp_path.glob(".bundle-*")] == []


def test_a_bundle_that_is_not_sound_is_not_written(small_bundle, tmp_path):
    with pytest.raises(BundleError, match="arrays"):
        write_bundle(replace(small_bundle, arrays={}), tmp_path / "new", card="a")
    assert not (tmp_path / "new").exists()


def test_a_bundle_is_found_by_name_and_by_folder(small_folder, monkeypatch):
    monkeypatch.setenv("SER_BUNDLES", str(small_folder.parent))
    assert find_bundle("small") == find_bundle(small_folder) == small_folder
    assert installed_bundles() == [small_folder]
    with pytest.raises(BundleError, match=r"'large'.*: small"):
        find_bundle("large")


def test_ones_own_bundle_comes_before_the_packages(small_folder, tmp_path, monkeypatch):
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    for folder in (own / "small", shipped / "small", shipped / "other"):
        shutil.copytree(small_folder, folder)
    monkeypatch.setattr("ser_lib.inference.bundle.bundles_dirs", lambda: (own, shipped))
    assert installed_bundles() == [shipped / "other", own / "small"]
    assert find_bundle("small") == own / "small"
    assert find_bundle("other") == shipped / "other"


def test_the_best_bundle_whose_weights_are_here_is_the_default(small_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SER_BUNDLES", str(tmp_path))
    with pytest.raises(BundleError, match="ser train"):
        default_bundle()
    assert better_bundle() == ("", "")
    shutil.copytree(small_folder, tmp_path / "cnn-ravdess")
    assert default_bundle().name == "cnn-ravdess"
    assert better_bundle() == ("", "")
    monkeypatch.setenv("SER_CACHE", str(tmp_path / "no-weights"))
    shutil.copytree(PROJECT_DIR / "bundles" / "moonshine-ravdess", tmp_path / "moonshine-ravdess")
    assert default_bundle().name == "cnn-ravdess"
    assert better_bundle() == ("moonshine-ravdess", "moonshine-base")


def test_the_committed_bundles_are_sound():
    found = installed_bundles()
    assert found, "no bundle is committed"
    for one in found:
        bundle = load_bundle(one)
        assert len(bundle.probe) == len(bundle.labels)
        assert {"score", "run", "corpora", "made_with"} <= set(bundle.card)
        assert "with changes" not in bundle.card["made_with"]["commit"]
        assert sum(path.stat().st_size for path in one.iterdir()) < 6 * 2**20


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 1}, "version 1"),
        ({"format": "other"}, "'other'"),
        ({"kind": "pickle"}, "'pickle'"),
        ({"labels": ["a"]}, "labels"),
        ({"labels": ["a", "a", "b", "c"]}, "labels"),
        ({"labels": ["a", "b", "c", "d\n"]}, "labels"),
        ({"labels": "abcd"}, "labels"),
        ({"labels": ["a", "b", "c", "=d"]}, "labels"),
        ({"labels": ["a", "b", "c", ""]}, "labels"),
        ({"card": {"elsewhere": 3}}, r"bundle\.json"),
        ({"card": {"elsewhere": [3]}}, r"bundle\.json"),
        ({"card": {"elsewhere": [{"new_voice": {}}]}}, r"accuracy_share"),
        ({"card": {"elsewhere": [{"known_voice": {"accuracy_share": "1"}}]}}, r"bundle\.json"),
        ({"card": {"answer_limit": "much"}}, r"bundle\.json"),
        ({"card": {"known_room": 3}}, r"bundle\.json"),
        ({"labels": ["a", "b", "c"], "probe": [0.1, 0.2, 0.7]}, r"model\.onnx.*\(3,\)"),
        ({"input_shape": [1, 16, 61, 1]}, r"model\.onnx.*\(1, 16, 61, 1\)"),
        ({"input_shape": [10**9]}, "input_shape"),
        ({"input_shape": [100_000] * 4}, "input_shape"),
        ({"input_shape": [960]}, r"\(960,\).*'mel_chunks'.* 3 "),
        ({"temperature": 0}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"threshold": 2}, "threshold"),
        ({"domain_limit": -1}, "domain_limit"),
        ({"probe": [0.5]}, "probe"),
        ({"features": {"name": "no_such", "version": 1}}, "no_such"),
        ({"speaker": {"temperature": 1}}, r"\['temperature'\]"),
        ({"encoder": 3}, r"bundle\.json"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder, edit, changes, message):
    edit(**changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "version 2"),
        ({"sample_rate_hz": 10}, "sample_rate_hz"),
        ({"params": {"n_mels": 10**9}}, "n_mels"),
        ({"params": {"n_mels": "../../etc/passwd"}}, "n_mels"),
        ({"params": {"no_such": 1}}, "no_such"),
        ({"params": []}, r"bundle\.json"),
        ({"name": "encoder_views", "params": {"encoder": "file.onnx"}}, "'file.onnx'"),
    ],
)
def test_a_feature_spec_that_does_not_fit_is_refused(folder, edit, changes, message):
    features = json.loads((folder / "bundle.json").read_text())["features"]
    edit(features=features | changes)
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize("params", [{"n_mels": 0}, {"n_mels": "x"}, {"n_frames": "x"}])
def test_a_feature_that_cannot_be_computed_is_refused(folder, edit, params):
    features = json.loads((folder / "bundle.json").read_text())["features"]
    edit(features=features | {"params": features["params"] | params})
    with pytest.raises(BundleError, match="mel_chunks"):
        Predictor.load(folder)


@pytest.mark.parametrize("key", ["labels", "features", "temperature", "probe", "card", "version"])
def test_a_manifest_without_a_key_is_refused(folder, reseal, key):
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest[key]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    reseal()
    with pytest.raises(BundleError, match=key):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"domain_centre": np.full(32, np.nan)}, "NaN"),
        ({"domain_centre": np.zeros(32, int)}, "int64"),
        ({"domain_centre": np.zeros(33)}, "domain_centre.* shape"),
        ({"domain_whitening": np.array(1.0)}, "domain_whitening.* shape"),
        ({"domain_whitening": np.zeros((32, 0))}, "domain_whitening.* shape"),
        ({"domain_whitening": np.zeros((32, 2, 2))}, "domain_whitening.* shape"),
        ({"something": np.zeros(7)}, "'something.npy'"),
        ({"input_mean": np.zeros((1, 16, 60, 1))}, r"\['input_scale'\]"),
        (
            {"input_mean": np.zeros((1, 16, 60, 1)), "input_scale": np.zeros((1, 16, 60, 1))},
            "above 0",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(folder, reseal, small_bundle, arrays, message):
    np.savez(folder / "arrays.npz", **dict(small_bundle.arrays) | arrays)
    reseal()
    with pytest.raises(BundleError, match=message):
        load_bundle(folder)


def test_the_probe_is_a_sound_that_every_feature_takes():
    signal = probe_signal(16_000)
    assert signal.shape == (64_000,)
    assert 0.05 < np.abs(signal).max() < 1
