"""Models: every family, sizes by formula, and a topology that shows every setting."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from dataclasses import fields, replace

import numpy as np
import pytest

from ser_lib import models
from ser_lib.errors import StudyError
from ser_lib.models import FAMILIES, build_keras, build_model, build_sklearn, family_of, topology
from ser_lib.models.baselines import (
    DecisionTreeConfig,
    DummyConfig,
    KnnConfig,
    LogisticConfig,
    SvmConfig,
)
from ser_lib.models.cnn import Cnn1dConfig, Cnn2dConfig
from ser_lib.models.cnn3d import Cnn3dConfig
from ser_lib.models.conv_blocks import ConvBlocksConfig
from ser_lib.models.corpus_head import CorpusHeadConfig
from ser_lib.models.encoder_finetune import EncoderTopConfig
from ser_lib.models.frame_head import FrameHeadConfig
from ser_lib.models.linear_svm import LinearSvmConfig
from ser_lib.models.ridge_head import RidgeHeadConfig
from ser_lib.models.tdnn import TdnnConfig
from ser_lib.training.fit import FoldArrays, fit_fold

# A small config and an input for every family; a family that lacks here fails the test below.
SMALL = {
    "cnn1d": (Cnn1dConfig(n_filters=(4, 3), n_dense=5), (30, 3)),
    "cnn2d": (Cnn2dConfig(n_filters=(3, 4), n_dense=5, input_scale=1 / 255), (16, 20, 2)),
    "cnn3d": (
        Cnn3dConfig(
            n_filters=(3, 4),
            kernel_sizes=(5, 3),
            block_dropout_rates=(0.2, 0.3),
            n_bottleneck=4,
            n_dense=(6,),
            dropout_rates=(0.4,),
        ),
        (2, 16, 12, 1),
    ),
    "conv_blocks": (
        ConvBlocksConfig(
            n_filters=(3, 4),
            kernel_sizes=(3, 3),
            recurrent=(("bilstm", 3), ("gru", 2)),
            n_dense=(5,),
        ),
        (16, 12, 1),
    ),
    "corpus_head": (CorpusHeadConfig(layers=(0, 1), n_components=4), (1, 2, 2, 6)),
    "decision_tree": (DecisionTreeConfig(), (6,)),
    "dummy": (DummyConfig(), (6,)),
    "encoder_top": (
        EncoderTopConfig(n_blocks=1, n_heads=2, n_rotary=4),
        (10, 12),
    ),
    "frame_head": (FrameHeadConfig(n_mixed=2, n_attention=3, n_filters=(5,)), (10, 12)),
    "knn": (KnnConfig(), (6,)),
    "linear_svm": (LinearSvmConfig(), (6,)),
    "logistic": (LogisticConfig(n_components=4), (6,)),
    # (n_views, n_layers, n_statistics, n_values)
    "ridge_head": (RidgeHeadConfig(((0,), (1,)), views=(0,), n_members=1), (1, 2, 2, 6)),
    "svm": (SvmConfig(n_components=4), (6,)),
    "tdnn": (TdnnConfig(n_filters=6, n_blocks=2, n_attention=4), (16, 5)),
}
KERAS = pytest.mark.parametrize("name", [one for one in FAMILIES if FAMILIES[one].is_keras])
SKLEARN = pytest.mark.parametrize("name", [one for one in FAMILIES if not FAMILIES[one].is_keras])


def test_every_family_has_its_battery():
    assert set(SMALL) == set(FAMILIES)


def test_every_config_of_every_file_belongs_to_a_family():
    configs = {
        member
        for info in pkgutil.iter_modules(models.__path__)
        for name, member in vars(importlib.import_module(f"ser_lib.models.{info.name}")).items()
        if inspect.isclass(member) and name.endswith("Config")
    }
    assert configs == {one.config for one in FAMILIES.values()}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_config_is_frozen_and_knows_its_family(name):
    config, _ = SMALL[name]
    assert family_of(config) == (name, FAMILIES[name])
    hash(config)  # topology keeps results by config
    with pytest.raises(AttributeError):
        setattr(config, fields(config)[0].name, 1)


def test_a_config_of_no_family_names_the_known_ones():
    with pytest.raises(StudyError, match=r"dict.*Cnn1dConfig.*SvmConfig"):
        family_of({})


# --- Keras families


@KERAS
@pytest.mark.parametrize("n_classes", [2, 7])
def test_a_network_gives_probabilities(name, n_classes, rng):
    config, shape = SMALL[name]
    model = build_keras(config, shape, n_classes)
    outputs = np.asarray(model(rng.normal(size=(3, *shape))))
    assert model.name == name
    assert model.output_shape == (None, n_classes)
    assert outputs.shape == (3, n_classes)
    assert outputs.min() >= 0
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)  # float32


@KERAS
def test_a_network_survives_saving_and_safe_loading(name, tmp_path, rng):
    import keras

    config, shape = SMALL[name]
    model = build_keras(config, shape, 4)
    inputs = rng.normal(size=(3, *shape))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    # The same weights in the same graph: float32 rounding of another trace.
    np.testing.assert_allclose(np.asarray(loaded(inputs)), np.asarray(model(inputs)), atol=1e-6)


# Of the published networks, whose blocks are all alike.
BLOCK_PARTS = {"cnn1d": ("conv", "pool"), "cnn2d": ("conv", "pool")} | dict.fromkeys(
    ("cnn3d", "conv_blocks"), ("conv", "norm", "pool", "dropout")
)


@KERAS
def test_a_network_has_named_layers_only(name):
    config, shape = SMALL[name]
    names = [layer.name for layer in build_keras(config, shape, 4).layers]
    assert names[-1] == "probabilities"
    if parts := BLOCK_PARTS.get(name):
        blocks = [one for one in names if one.startswith("block") and one.endswith(parts)]
        assert blocks == [f"block{number}_{part}" for number in (1, 2) for part in parts]
    # Automatic names end in counters that change from call to call.
    again = [layer.name for layer in build_keras(config, shape, 4).layers]
    assert names == again


@KERAS
def test_the_global_seed_decides_the_weights(name):
    from ser_lib.seeds import seed_everything

    config, shape = SMALL[name]

    def weights(seed: int) -> np.ndarray:
        seed_everything(seed)
        return np.concatenate([w.ravel() for w in build_keras(config, shape, 3).get_weights()])

    np.testing.assert_array_equal(weights(1), weights(1))
    assert not np.array_equal(weights(1), weights(2))
    built = build_model(config, shape, 3, seed=1).get_weights()
    np.testing.assert_array_equal(np.concatenate([w.ravel() for w in built]), weights(1))


def naive_parameters(
    config: Cnn1dConfig | Cnn2dConfig, shape: tuple[int, ...], n_classes: int
) -> int:
    """Count weights: kernels and biases of valid convolutions, halved maps, two dense layers."""
    *sides, n_channels = shape
    n_weights = 0
    for n_filters in config.n_filters:
        n_weights += (config.kernel_size ** len(sides) * n_channels + 1) * n_filters
        sides = [(side - config.kernel_size + 1) // 2 for side in sides]
        n_channels = n_filters
    n_flat = n_channels * int(np.prod(sides))
    return n_weights + (n_flat + 1) * config.n_dense + (config.n_dense + 1) * n_classes


@pytest.mark.parametrize(
    ("config", "shape", "n_classes", "expected"),
    [
        # Swart (2025): 22.2 M parameters.
        (Cnn2dConfig(input_scale=1 / 255), (224, 224, 3), 8, 22_246_728),
        (Cnn2dConfig(), (128, 128, 1), 8, 6_517_512),
        (Cnn2dConfig(n_filters=(8,), kernel_size=5, n_dense=3), (20, 30, 1), 2, None),
        (Cnn1dConfig(), (108, 42), 7, None),
        (Cnn1dConfig(n_filters=(8, 4), kernel_size=5, n_dense=3), (100, 5), 2, None),
    ],
)
def test_a_network_is_as_large_as_its_formula(config, shape, n_classes, expected):
    naive = naive_parameters(config, shape, n_classes)
    assert build_keras(config, shape, n_classes).count_params() == naive
    assert expected in (None, naive)


def test_pictures_of_bytes_are_brought_to_one():
    model = build_keras(Cnn2dConfig(n_filters=(2,), input_scale=1 / 255), (8, 8, 3), 2)
    scale = model.get_layer("scale")
    assert float(np.asarray(scale(np.full((1, 1, 1, 3), 255.0)).numpy()).max()) == pytest.approx(1)
    plain = build_keras(Cnn2dConfig(n_filters=(2,)), (8, 8, 3), 2)
    assert "scale" not in [layer.name for layer in plain.layers]


# --- scikit-learn families


@SKLEARN
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_classifier_gives_probabilities(name, n_classes, rng):
    config, shape = SMALL[name]
    classes = np.arange(60) % n_classes
    inputs = rng.normal(size=(60, *shape)) + classes.reshape(-1, *(1 for _ in shape))
    speakers = np.array([f"s{number // 8}" for number in range(60)])
    arrays = FoldArrays(
        inputs[:40],
        classes[:40],
        inputs[40:50],
        classes[40:50],
        inputs[50:],
        speakers_train=speakers[:40],
        speakers_validation=speakers[40:50],
    )
    result = fit_fold(config, None, arrays, n_classes=n_classes, is_scaled=True, seed=1)
    assert result.probabilities.shape == (10, n_classes)
    assert result.probabilities.min() >= 0
    # Inputs are float32: seven digits.
    np.testing.assert_allclose(result.probabilities.sum(axis=1), 1, atol=1e-6)


@SKLEARN
def test_every_build_gives_another_unfitted_classifier(name):
    config, _ = SMALL[name]
    first, second = build_sklearn(config, seed=1), build_sklearn(config, seed=1)
    assert first is not second
    assert not hasattr(first, "classes_")


@pytest.mark.parametrize(
    ("config", "attribute", "value"),
    [
        (DecisionTreeConfig(max_depth=3), "max_depth", 3),
        (DecisionTreeConfig(criterion="entropy"), "criterion", "entropy"),
        (DecisionTreeConfig(), "random_state", 11),
        (KnnConfig(n_neighbors=9), "n_neighbors", 9),
        (KnnConfig(metric="cosine"), "metric", "cosine"),
        (DummyConfig(strategy="prior"), "strategy", "prior"),
        (LogisticConfig(inverse_regularisation=3.0), "logisticregression__C", 3.0),
        (LogisticConfig(n_components=9), "cappedpca__n_components", 9),
        (LogisticConfig(), "cappedpca__random_state", 11),
        (SvmConfig(inverse_regularisation=3.0), "svc__C", 3.0),
        (SvmConfig(n_components=9), "cappedpca__n_components", 9),
    ],
)
def test_every_setting_reaches_scikit_learn(config, attribute, value):
    assert build_sklearn(config, seed=11).get_params()[attribute] == value
    assert build_model(config, (6,), 2, seed=11).get_params()[attribute] == value


def test_boucheta_compares_with_four_neighbours_and_an_unlimited_gini_tree():
    assert (KnnConfig().n_neighbors, KnnConfig().metric) == (4, "euclidean")
    assert (DecisionTreeConfig().criterion, DecisionTreeConfig().max_depth) == ("gini", None)


@pytest.mark.parametrize("config", [LogisticConfig(), SvmConfig()])
def test_fewer_clips_than_components_are_no_crash(config, rng):
    inputs, classes = rng.normal(size=(30, 300)), np.arange(30) % 3
    arrays = FoldArrays(inputs, classes, inputs, classes, inputs)
    result = fit_fold(config, None, arrays, n_classes=3, is_scaled=True, seed=1)
    assert result.probabilities.shape == (30, 3)


def test_the_largest_probability_of_the_svm_is_its_own_decision(rng):
    # Classes that overlap, so that one-against-one votes are tied now and then.
    classes = np.arange(300) % 6
    inputs = rng.normal(size=(300, 4)) + 0.5 * classes[:, None]
    arrays = FoldArrays(inputs[:200], classes[:200], inputs[:20], classes[:20], inputs[200:])
    config = SvmConfig(n_components=4)
    result = fit_fold(config, None, arrays, n_classes=6, is_scaled=False, seed=1)
    decided = build_sklearn(config, seed=1).fit(inputs[:200], classes[:200]).predict(inputs[200:])
    np.testing.assert_array_equal(result.probabilities.argmax(axis=1), decided)


# --- topology


def _changed(value: object) -> object:
    """Return another value of the same kind; of a tuple, the last one is another."""
    if isinstance(value, tuple):
        return (*value[:-1], _changed(value[-1]))
    if isinstance(value, str):
        return {"relu": "elu", "pool": "lstm"}[value]
    return value + 2 if isinstance(value, int) else value / 2


# What the layers do not show: the weights that training starts from, how values are dealt to heads,
# noise. A run's key holds the config itself.
NOT_IN_LAYERS = (
    *("encoder", "first_block", "strength", "sharpness", "n_heads", "n_rotary"),
    "noise",
)
CHANGES = [
    pytest.param(name, field.name, id=f"{name}.{field.name}")
    for name in FAMILIES
    if FAMILIES[name].is_keras
    for field in fields(SMALL[name][0])
    if field.name not in NOT_IN_LAYERS
]


@pytest.mark.parametrize(("name", "field"), CHANGES)
def test_the_topology_changes_with_every_field_of_the_config(name, field):
    config, shape = SMALL[name]
    other = replace(config, **{field: _changed(getattr(config, field))})
    assert topology(config, shape, 3) != topology(other, shape, 3)


BLOCKS = {
    "n_filters": (3, 4, 4),
    "kernel_sizes": (3, 3, 3),
    "block_dropout_rates": (0.2, 0.3, 0.3),
}
MORE = [
    ("cnn1d", {"n_filters": (4, 3, 2)}),
    ("cnn2d", {"n_filters": (3, 4, 2)}),
    ("cnn3d", BLOCKS),
    ("cnn3d", {"kernel_sizes": (3, 5)}),
    ("cnn3d", {"n_dense": (6, 6), "dropout_rates": (0.4, 0.4)}),
    ("cnn3d", {"activation": "leaky_relu"}),
    ("cnn3d", {"head": "transformer"}),
    ("conv_blocks", {part: BLOCKS[part] for part in ("n_filters", "kernel_sizes")}),
    ("conv_blocks", {"n_dense": (5, 5)}),
    ("conv_blocks", {"n_dense": ()}),
    ("conv_blocks", {"recurrent": ()}),
    *(
        ("conv_blocks", {"recurrent": recurrent})
        for recurrent in (
            (("lstm", 3), ("gru", 2)),
            (("bigru", 3), ("gru", 2)),
            (("bilstm", 3), ("lstm", 2)),
            (("bilstm", 3),),
            (("gru", 2), ("bilstm", 3)),
        )
    ),
]


@pytest.mark.parametrize(("name", "change"), MORE, ids=[f"{n}.{list(c.values())}" for n, c in MORE])
def test_the_topology_knows_more_layers_and_other_kinds(name, change):
    config, shape = SMALL[name]
    shape = tuple(4 * side for side in shape)  # room for a third block
    assert topology(config, shape, 3) != topology(replace(config, **change), shape, 3)


@pytest.mark.parametrize("head", ["lstm", "transformer"])
def test_the_topology_of_a_head_changes_with_what_it_reads(head):
    config, shape = SMALL["cnn3d"]
    config = replace(config, head=head)
    wider = replace(config, n_bottleneck=8)
    assert topology(config, shape, 3) != topology(wider, shape, 3)


def test_the_leak_of_a_leaky_relu_shows_in_the_topology(monkeypatch):
    from ser_lib.models import cnn3d

    config, shape = SMALL["cnn3d"]
    config = replace(config, activation="leaky_relu")
    topology.cache_clear()
    before = topology(config, shape, 3)
    monkeypatch.setattr(cnn3d, "LEAK", 0.2)
    topology.cache_clear()
    assert topology(config, shape, 3) != before
    topology.cache_clear()


def test_a_setting_that_the_topology_leaves_out_would_be_noticed(monkeypatch):
    # The twin: without the units among what is kept, two recurrent layers look alike.
    config, shape = SMALL["conv_blocks"]
    other = replace(config, recurrent=(("bilstm", 3), ("gru", 4)), n_dense=())
    config = replace(config, n_dense=())
    monkeypatch.setattr(models, "ARITHMETIC", models.ARITHMETIC - {"units"})
    topology.cache_clear()
    assert topology(config, shape, 3) == topology(other, shape, 3)
    topology.cache_clear()


@KERAS
def test_the_topology_knows_the_shapes(name):
    config, shape = SMALL[name]
    texts = {
        topology(config, shape, 3),
        topology(config, shape, 4),
        topology(config, (shape[0] + 4, *shape[1:]), 3),
    }
    assert len(texts) == 3


@KERAS
def test_the_topology_is_the_same_at_every_call(name):
    config, shape = SMALL[name]
    topology.cache_clear()
    first = topology(config, shape, 3)
    build_keras(config, shape, 5)
    topology.cache_clear()
    assert topology(config, shape, 3) == first


@KERAS
def test_the_topology_lists_every_layer_without_modules_and_versions(name):
    config, shape = SMALL[name]
    text = topology(config, shape, 3)
    layers = json.loads(text)
    assert [name for name, _ in layers] == [
        type(layer).__name__ for layer in build_keras(config, shape, 3).layers
    ]
    assert "keras" not in text
    assert "module" not in text


@SKLEARN
def test_a_classifier_has_no_topology(name):
    assert topology(*SMALL[name], 3) == "null"
