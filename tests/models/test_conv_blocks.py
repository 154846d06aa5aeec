"""Blocks of convolutions: the published sizes exactly, and recurrent layers without a loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib.errors import StudyError
from ser_lib.features.registry import FEATURES
from ser_lib.models import build_keras
from ser_lib.models.conv_blocks import RECURRENT, ConvBlocksConfig
from ser_lib.models.layers import batch_normalization
from ser_lib.studies import STUDIES

TINY = ConvBlocksConfig(n_filters=(3, 4), kernel_sizes=(5, 3), n_dense=(6,))
SHAPE = (16, 12, 1)


def input_of(model) -> tuple[int, ...]:
    """The shape of a model's input, from three seconds of a tone."""
    features = model.features
    signal = np.sin(np.arange(3.0 * features.sample_rate_hz)).astype(np.float32)
    function = FEATURES[features.name].function
    return function(signal, features.sample_rate_hz, **features.params).shape


# --- sizes


@pytest.mark.parametrize(
    ("name", "input_shape", "published"),
    [
        ("cnn", (130, 60, 1), 1_929_349),
        ("cnn_bilstm", (130, 60, 1), 1_234_309),
        ("cnn_bigru", (130, 76, 1), 579_781),
    ],
)
def test_the_networks_of_iemocap5_have_the_published_sizes(name, input_shape, published):
    study = STUDIES["iemocap5"]
    model = study.model(name)
    assert input_of(model) == input_shape
    assert len(study.label_set.labels) == 5
    assert build_keras(model.config, input_shape, 5).count_params() == published
    # The twin: with a class less it is another size.
    assert build_keras(model.config, input_shape, 4).count_params() != published


def naive_parameters(config: ConvBlocksConfig, shape: tuple[int, ...], n_classes: int) -> int:
    """Count kernels, biases, and four numbers a filter of the normalisations."""
    n_frames, n_bands, n_channels = shape
    n_weights = 0
    for n_filters, size in zip(config.n_filters, config.kernel_sizes, strict=True):
        n_weights += (size * size * n_channels + 1) * n_filters + 4 * n_filters
        n_frames, n_bands, n_channels = n_frames // 2, n_bands // 2, n_filters
    n_inputs = n_bands * n_channels * (1 if config.recurrent else n_frames)
    for kind, units in config.recurrent:
        n_ways = 2 if kind.startswith("bi") else 1
        if kind.endswith("lstm"):
            one_way = 4 * units * (n_inputs + units + 1)
        else:  # Keras's GRU has a second bias
            one_way = 3 * units * (n_inputs + units + 2)
        n_weights += n_ways * one_way
        n_inputs = n_ways * units
    for n_dense in config.n_dense:
        n_weights += (n_inputs + 1) * n_dense
        n_inputs = n_dense
    return n_weights + (n_inputs + 1) * n_classes


@pytest.mark.parametrize(
    ("config", "shape"),
    [
        (TINY, SHAPE),
        (replace(TINY, n_dense=()), SHAPE),
        (replace(TINY, n_dense=(5, 4), recurrent=(("gru", 3),)), (17, 13, 2)),
        (replace(TINY, recurrent=(("bilstm", 3), ("bigru", 2), ("lstm", 4))), SHAPE),
        (STUDIES["penumajji2025"].model("cnn").config, (64, 64, 1)),
    ],
)
def test_a_network_is_as_large_as_its_formula(config, shape):
    model = build_keras(config, shape, 5)
    assert model.count_params() == naive_parameters(config, shape, 5)


@pytest.mark.parametrize("n_bands", [56, 63])
@pytest.mark.parametrize("n_frames", [128, 135])
def test_other_inputs_within_the_stated_range_have_the_published_size_too(n_bands, n_frames):
    # The study says: 56 to 63 bands of 128 to 135 frames; and 72 to 79 bands for the third.
    sizes = {"cnn": 1_929_349, "cnn_bilstm": 1_234_309, "cnn_bigru": 579_781}
    for name, published in sizes.items():
        bands = n_bands + (16 if name == "cnn_bigru" else 0)
        config = STUDIES["iemocap5"].model(name).config
        assert naive_parameters(config, (n_frames, bands, 1), 5) == published


@pytest.mark.parametrize("shape", [(130, 55, 1), (130, 64, 1), (127, 60, 1), (136, 60, 1)])
def test_inputs_beyond_the_stated_range_have_not(shape):
    assert naive_parameters(ConvBlocksConfig(), shape, 5) != 1_929_349


# --- recurrent layers


def looped_twin(model, steps: np.ndarray) -> np.ndarray:
    """Read a sequence with Keras's own looped layers, with the weights of a built network."""
    import keras

    x = steps
    for layer in model.layers:
        is_two_way = isinstance(layer, keras.layers.Bidirectional)
        inner = layer.forward_layer if is_two_way else layer
        if not isinstance(inner, keras.layers.LSTM | keras.layers.GRU):
            continue
        assert inner.unroll
        twin = type(inner)(inner.units, return_sequences=inner.return_sequences, unroll=False)
        twin = keras.layers.Bidirectional(twin) if is_two_way else twin
        twin.build(x.shape)
        twin.set_weights(layer.get_weights())
        x = np.asarray(twin(x).numpy())
    return x


@pytest.mark.parametrize(
    "recurrent",
    [
        (("lstm", 3),),
        (("gru", 3),),
        (("bilstm", 3),),
        (("bigru", 3),),
        (("bilstm", 4), ("lstm", 3)),
        (("bigru", 4), ("gru", 3)),
    ],
)
def test_unrolled_layers_give_what_looped_ones_give(recurrent, rng):
    import keras

    model = build_keras(replace(TINY, recurrent=recurrent), SHAPE, 3)
    model.set_weights([rng.normal(0, 0.5, one.shape) for one in model.get_weights()])
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(np.full(layer.moving_variance.shape, 0.7))
    inputs = rng.normal(size=(5, *SHAPE)).astype(np.float32)
    ends = [layer for layer in model.layers if layer.name in ("sequence", "dense1")]
    both = keras.Model(model.inputs, [ends[0].output, ends[1].input])
    steps, read = both.predict(inputs, verbose=0)
    assert steps.shape == (5, 4, 3 * 4)
    expected = looped_twin(model, steps)
    assert expected.shape == read.shape == (5, ends[1].input.shape[1])
    assert np.abs(read).max() > 0.05
    # Float32, in another order of sums.
    np.testing.assert_allclose(read, expected, atol=1e-5)
    # The twin: read backwards, the sequence says something else.
    assert np.abs(read - looped_twin(model, steps[:, ::-1])).max() > 1e-3


def test_the_sequence_is_the_frames_each_with_all_its_bands(rng):
    import keras

    model = build_keras(replace(TINY, recurrent=(("gru", 3),)), SHAPE, 3)
    layer = model.get_layer("sequence")
    maps, steps = keras.Model(model.inputs, [layer.input, layer.output]).predict(
        rng.normal(size=(2, *SHAPE)), verbose=0
    )
    # A quarter of 16 frames and of 12 bands, four filters.
    assert maps.shape == (2, 4, 3, 4)
    for frame in range(4):
        np.testing.assert_array_equal(steps[:, frame], maps[:, frame].reshape(2, -1))


@pytest.mark.parametrize("kind", RECURRENT)
def test_two_layers_of_a_kind_can_follow_each_other(kind):
    model = build_keras(replace(TINY, recurrent=((kind, 3), (kind, 2))), SHAPE, 3)
    assert model.output_shape == (None, 3)


# --- order of the layers


def test_a_block_is_convolution_activation_norm_pool_dropout(rng):
    import keras

    config = replace(TINY, activation="elu")
    model = build_keras(config, SHAPE, 3)
    names = [layer.name for layer in model.layers][:6]
    assert names == [
        *("log_mel", "block1_conv", "block1_norm", "block1_pool", "block1_dropout", "block2_conv"),
    ]
    assert model.get_layer("block1_dropout").rate == config.block_dropout_rate
    assert model.get_layer("dropout1").rate == config.dropout_rate
    # The norm sees what the ELU gives: nothing below -1.
    conv = keras.Model(model.inputs, model.get_layer("block1_conv").output)
    activated = conv.predict(100 * rng.normal(size=(2, *SHAPE)), verbose=0)
    assert activated.min() == pytest.approx(-1)
    assert activated.max() > 10


def test_penumajji_has_four_elu_blocks():
    config = STUDIES["penumajji2025"].model("cnn").config
    assert len(config.n_filters) == len(config.kernel_sizes) == 4
    assert config.activation == "elu"
    assert config.recurrent == ()


# --- what cannot be built


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kernel_sizes": (3,)}, r"\(3, 4\).*\(3,\)"),
        (
            {"recurrent": (("rnn", 3), ("lstm", 3))},
            r"\['rnn'\].*'bigru', 'bilstm', 'gru', 'lstm'",
        ),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(change, message):
    with pytest.raises(StudyError, match=message):
        replace(TINY, **change)


def normalised(layer, x, targets):
    """Return output, gradients of x, gamma and beta, and running means after a training step."""
    import tensorflow as tf

    @tf.function
    def step(inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = layer(inputs, training=True)
            loss = tf.reduce_mean((outputs - targets) ** 2 * inputs)
        return outputs, *tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value])

    kinds = {one.type for one in step.get_concrete_function(tf.constant(x)).graph.get_operations()}
    found = [one.numpy() for one in step(tf.constant(x))]
    moving = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    return [*found, *moving], any("FusedBatchNorm" in kind for kind in kinds)


def test_batch_normalisation_is_keras_own_in_one_operation(rng, monkeypatch):
    import keras

    x = rng.normal(3, 2, (4, 6, 5, 7)).astype(np.float32)
    targets = rng.normal(size=x.shape).astype(np.float32)
    layers = [
        batch_normalization(momentum=0.8, name="ours"),
        keras.layers.BatchNormalization(momentum=0.8),
    ]
    for layer in layers:
        layer.build(x.shape)
        layer.gamma.assign(np.linspace(0.5, 2, 7))
        layer.beta.assign(np.linspace(-1, 1, 7))
    (ours, ours_fused), (theirs, theirs_fused) = (normalised(one, x, targets) for one in layers)
    for mine, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)
    # The twin: without the kernel it would be what Keras makes of it.
    assert ours_fused
    assert not theirs_fused
    # Prediction and frozen layers are Keras's own.
    np.testing.assert_allclose(layers[0](x), layers[1](x), rtol=1e-4, atol=1e-6)
    layers[0].trainable = layers[1].trainable = False
    np.testing.assert_allclose(layers[0](x, training=True), layers[1](x, training=True), atol=1e-5)
    assert layers[0].get_config() | {"name": ""} == layers[1].get_config() | {"name": ""}
    layers[0].trainable = True
    # On another backend it is Keras's layer.
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "jax")
        elsewhere, elsewhere_fused = normalised(layers[0], x, targets)
    assert not elsewhere_fused
    np.testing.assert_allclose(elsewhere[0], theirs[0], rtol=1e-4, atol=1e-6)
