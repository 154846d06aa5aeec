"""The 3D network: what it computes on 2D layers is what Keras's 3D layers compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ser_lib.errors import StudyError
from ser_lib.models import build_keras, cnn3d
from ser_lib.models.cnn3d import LEAK, Cnn3dConfig
from ser_lib.seeds import seed_everything
from ser_lib.studies import STUDIES

# Without dropout, so that both networks can be compared while they train.
TINY = Cnn3dConfig(
    n_filters=(4, 6),
    kernel_sizes=(5, 3),
    block_dropout_rates=(0.0, 0.0),
    n_bottleneck=8,
    n_dense=(7, 5),
    dropout_rates=(0.0, 0.0),
)
# Odd sides: pooling leaves a band and a frame out.
SHAPE = (3, 17, 13, 1)
N_CLASSES = 4
ACTIVATIONS = pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu"])
HEADS = pytest.mark.parametrize("head", ["pool", "lstm", "transformer"])


def unlike(rng, n_rows: int = 6) -> np.ndarray:
    """Make inputs that differ in level from row to row, so that batch statistics are no noise."""
    levels = np.linspace(0.3, 3, n_rows)[:, None, None, None, None]
    return (rng.normal(size=(n_rows, *SHAPE)) * levels + levels).astype(np.float32)


@pytest.fixture
def double():
    """Compute in float64: in float32 a gradient may go through either of two near maxima."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def literal_3d(config: Cnn3dConfig, shape: tuple[int, ...], n_classes: int, *, order: str):
    """The network as fpt2025, section 5, writes it: of 3D layers, chunk by chunk.

    `order` is that of norm, activation and pooling after a convolution.
    """
    import keras

    layers = keras.layers
    is_double = keras.config.dtype_policy().name == "float64"

    def norm():
        return layers.BatchNormalization(momentum=config.norm_momentum)

    def pool():
        # TensorFlow pools volumes in float32 only; each chunk alone is the same.
        return (
            layers.TimeDistributed(layers.MaxPooling2D(2))
            if is_double
            else layers.MaxPooling3D((1, 2, 2))
        )

    def activation():
        return {
            "relu": layers.ReLU,
            "leaky_relu": lambda: layers.LeakyReLU(negative_slope=0.1),
            "elu": layers.ELU,
        }[config.activation]()

    inputs = keras.Input(shape)
    x = inputs
    for n_filters, size in zip(config.n_filters, config.kernel_sizes, strict=True):
        steps = {
            "conv": layers.Conv3D(n_filters, (1, size, size), padding="same"),
            "norm": norm(),
            "activation": activation(),
            "pool": pool(),
        }
        for step in order.split():
            x = steps[step](x)
    x = layers.Conv3D(config.n_bottleneck, 1)(x)
    x = norm()(x)
    x = layers.GlobalAveragePooling3D()(x)
    for n_dense in config.n_dense:
        x = layers.Dense(n_dense)(x)
        x = norm()(x)
        x = activation()(x)
    return keras.Model(inputs, layers.Dense(n_classes, activation="softmax")(x))


def same_weights(ours, literal, rng) -> None:
    """Give both networks the same weights, none of them at its first value."""
    values = []
    for mine, theirs in zip(ours.weights, literal.weights, strict=True):
        drawn = rng.normal(0, 0.3, mine.shape)
        if "moving_variance" in mine.path or "gamma" in mine.path:
            drawn = np.abs(drawn) + 0.5
        mine.assign(drawn)
        # A kernel of 1 x k x k has one axis more.
        theirs.assign(drawn.reshape(theirs.shape))
        values.append(drawn)
    assert len(values) > 20


def both(activation: str, rng, order: str = "conv norm activation pool"):
    config = replace(TINY, activation=activation)
    ours, literal = (
        build_keras(config, SHAPE, N_CLASSES),
        literal_3d(config, SHAPE, N_CLASSES, order=order),
    )
    same_weights(ours, literal, rng)
    return ours, literal


@ACTIVATIONS
@pytest.mark.parametrize("is_training", [False, True], ids=["predicting", "training"])
def test_the_outputs_are_those_of_a_network_of_3d_layers(activation, is_training, rng):
    ours, literal = both(activation, rng)
    inputs = unlike(rng)
    mine, theirs = (one(inputs, training=is_training).numpy() for one in (ours, literal))
    assert theirs.std(axis=0).min() > 1e-3  # they depend on the input
    # Float32 sums of some hundred products, in another order.
    np.testing.assert_allclose(mine, theirs, atol=2e-5)
    # In training, batch normalisation has taken the statistics of all chunks together.
    for one, other in zip(ours.non_trainable_weights, literal.non_trainable_weights, strict=True):
        np.testing.assert_allclose(one.numpy().ravel(), other.numpy().ravel(), rtol=1e-4, atol=1e-5)


@ACTIVATIONS
def test_the_gradients_are_those_of_a_network_of_3d_layers(activation, double, rng):
    import tensorflow as tf

    ours, literal = both(activation, rng)
    inputs = unlike(rng)
    targets = np.eye(N_CLASSES, dtype=float)[[0, 1, 2, 3, 0, 1]]
    gradients = []
    for model in (ours, literal):
        with tf.GradientTape() as tape:
            outputs = model(inputs, training=True)
            loss = -tf.reduce_mean(tf.reduce_sum(targets * tf.math.log(outputs), axis=1))
        variables = [one.value for one in model.trainable_weights]
        gradients.append([one.numpy() for one in tape.gradient(loss, variables)])
    for mine, theirs in zip(*gradients, strict=True):
        # Float64: sums of some thousand products, through normalisations that magnify them.
        np.testing.assert_allclose(mine.ravel(), theirs.ravel(), atol=1e-8)
    assert max(np.abs(one).max() for one in gradients[1]) > 0.01


def test_a_network_in_another_order_gives_other_outputs(rng):
    # The twin: normalised after the activation, it is another network.
    ours, literal = both("relu", rng, order="conv activation norm pool")
    inputs = unlike(rng)
    difference = np.abs(np.asarray(ours(inputs)) - np.asarray(literal(inputs)))
    assert difference.max() > 1e-3


def test_chunks_and_rows_do_not_get_mixed_up(rng):
    model = build_keras(TINY, SHAPE, N_CLASSES)
    inputs = rng.normal(size=(4, *SHAPE)).astype(np.float32)
    together = np.asarray(model(inputs))
    for row in range(4):
        alone = np.asarray(model(inputs[row : row + 1]))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
    # The head pool takes the mean over chunks: their order is nothing to it.
    turned = np.asarray(model(inputs[:, ::-1]))
    np.testing.assert_allclose(turned, together, atol=1e-5)


# --- size


def naive_parameters(config: Cnn3dConfig, n_classes: int) -> int:
    """Count weights, the moving means and variances of the normalisations among them."""
    n_weights, n_channels = 0, 1
    for n_filters, size in zip(config.n_filters, config.kernel_sizes, strict=True):
        n_weights += (1 * size * size * n_channels + 1) * n_filters + 4 * n_filters
        n_channels = n_filters
    n_weights += (n_channels + 1) * config.n_bottleneck + 4 * config.n_bottleneck
    n_inputs = config.n_bottleneck
    for n_dense in config.n_dense:
        n_weights += (n_inputs + 1) * n_dense + 4 * n_dense
        n_inputs = n_dense
    return n_weights + (n_inputs + 1) * n_classes


def test_the_published_network_is_as_large_as_section_5_makes_it():
    model = build_keras(Cnn3dConfig(), (3, 128, 60, 1), 7)
    assert model.count_params() == naive_parameters(Cnn3dConfig(), 7)
    # 1x5x5, 64; 1x3x3, 128, 256, 512; 1x1x1, 512; dense 512, 256 and 7.
    assert naive_parameters(Cnn3dConfig(), 7) == (
        *(1_664 + 73_856 + 295_168 + 1_180_160 + 262_656 + 262_656 + 131_328 + 1_799,),
    )[0] + 4 * (64 + 128 + 256 + 512 + 512 + 512 + 256)


def test_the_published_network_is_that_of_section_5():
    config = STUDIES["fpt2025"].model("cnn3d").config
    assert config == Cnn3dConfig()
    assert config.n_filters == (64, 128, 256, 512)
    assert config.kernel_sizes == (5, 3, 3, 3)
    assert config.block_dropout_rates == (0.2, 0.3, 0.3, 0.3)
    assert (config.n_bottleneck, config.n_dense) == (512, (512, 256))
    assert config.dropout_rates == (0.4, 0.3)
    assert (config.activation, config.head) == ("relu", "pool")


def test_the_small_network_is_the_published_one_with_an_eighth_of_the_units():
    small, whole = (STUDIES["fpt2025"].model(name).config for name in ("cnn3d_small", "cnn3d"))
    for part in ("n_filters", "n_dense"):
        assert tuple(8 * one for one in getattr(small, part)) == getattr(whole, part)
    assert 8 * small.n_bottleneck == whole.n_bottleneck
    for part in ("kernel_sizes", "activation", "head"):
        assert getattr(small, part) == getattr(whole, part)
    # Fewer units need less dropout; the study's card says so.
    for part in ("block_dropout_rates", "dropout_rates"):
        pairs = zip(getattr(small, part), getattr(whole, part), strict=True)
        assert all(one < other for one, other in pairs)


@pytest.mark.parametrize("input_shape", [(1, 8, 8, 1), (3, 128, 60, 1), (5, 64, 20, 2)])
def test_the_input_does_not_change_the_size_but_by_its_channels(input_shape):
    config = replace(TINY, head="pool")
    first_kernel = 5 * 5 * 4
    expected = naive_parameters(config, 3) + (input_shape[-1] - 1) * first_kernel
    assert build_keras(config, input_shape, 3).count_params() == expected


# --- activations


@pytest.mark.parametrize(
    ("activation", "at_minus_2"),
    [("relu", 0.0), ("leaky_relu", -0.2), ("elu", np.exp(-2.0) - 1)],
)
def test_an_activation_is_its_formula(activation, at_minus_2):
    model = build_keras(replace(TINY, activation=activation), SHAPE, 3)
    values = np.array([[-2.0, 0.0, 3.0]], dtype=np.float32)
    for name in ("block1", "block2", "dense1", "dense2"):
        found = model.get_layer(f"{name}_{activation}")(values).numpy()[0]
        np.testing.assert_allclose(found, [at_minus_2, 0.0, 3.0], atol=1e-6)


def test_the_leak_is_that_of_the_report():
    assert LEAK == 0.1  # section 3.2


# --- heads


@HEADS
def test_a_head_gives_probabilities_and_can_be_trained(head, rng):
    model = build_keras(replace(TINY, head=head), SHAPE, N_CLASSES)
    inputs = rng.normal(size=(8, *SHAPE)).astype(np.float32)
    classes = np.arange(8) % N_CLASSES
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", run_eagerly=True)
    before = [weight.numpy().copy() for weight in model.trainable_weights]
    model.train_on_batch(inputs, classes)
    moved = [
        not np.array_equal(weight.numpy(), old)
        for weight, old in zip(model.trainable_weights, before, strict=True)
    ]
    assert all(moved)
    outputs = np.asarray(model(inputs))
    np.testing.assert_allclose(outputs.sum(axis=1), 1, atol=1e-5)


def test_the_lstm_reads_in_time_and_the_others_do_not(rng):
    inputs = rng.normal(size=(3, *SHAPE)).astype(np.float32)
    turned = inputs[:, ::-1]
    for head, is_in_time in (("pool", False), ("lstm", True), ("transformer", False)):
        seed_everything(1)
        model = build_keras(replace(TINY, head=head), SHAPE, N_CLASSES)
        forwards, backwards = (np.asarray(model(one)) for one in (inputs, turned))
        change = np.abs(forwards - backwards).max()
        assert (change > 1e-4) == is_in_time, head


def test_what_the_lstm_reads_is_the_clip_frame_by_frame(rng):
    """Its steps are the frames of the first chunk, then of the second, each the mean of bands."""
    import keras

    model = build_keras(replace(TINY, head="lstm"), SHAPE, N_CLASSES)
    inputs = rng.normal(size=(2, *SHAPE)).astype(np.float32)
    maps_of = keras.Model(model.inputs, model.get_layer("bottleneck_norm").output)
    # (2 * 3 chunks, bands, frames, filters)
    maps = maps_of.predict(inputs, verbose=0)
    assert maps.shape == (6, 4, 3, TINY.n_bottleneck)
    steps = np.stack(
        [
            [maps[3 * row + chunk].mean(axis=0)[frame] for chunk in range(3) for frame in range(3)]
            for row in range(2)
        ]
    )
    lstm = model.get_layer("lstm")
    assert lstm.units == TINY.n_bottleneck
    looped = keras.layers.LSTM(lstm.units)
    looped.build(steps.shape)
    looped.set_weights(lstm.get_weights())
    read = keras.Model(model.inputs, lstm.output).predict(inputs, verbose=0)
    np.testing.assert_allclose(read, looped(steps).numpy(), atol=1e-5)


# --- what cannot be built


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "gelu"}, "'gelu'.*relu, leaky_relu, elu"),
        ({"head": "gru"}, "'gru'.*pool, lstm, transformer"),
        (
            {"kernel_sizes": (3,)},
            r"n_filters=\(4, 6\) and kernel_sizes=\(3,\)",
        ),
        (
            {"block_dropout_rates": (0.1, 0.1, 0.1)},
            r"n_filters=\(4, 6\) and block_dropout_rates=\(0.1, 0.1, 0.1\)",
        ),
        ({"dropout_rates": ()}, r"n_dense=\(7, 5\) and dropout_rates=\(\)"),
    ],
)
def test_a_config_that_cannot_be_built_is_refused(change, message):
    with pytest.raises(StudyError, match=message):
        replace(TINY, **change)


def test_every_known_word_can_be_built():
    for activation in cnn3d.ACTIVATIONS:
        for head in cnn3d.HEADS:
            config = replace(TINY, activation=activation, head=head)
            assert build_keras(config, (1, 8, 8, 1), 2).output_shape == (None, 2)
