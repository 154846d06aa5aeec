"""The player in a browser: its spectrogram is NumPy's, it draws, plays and selects by keyboard."""

from __future__ import annotations

import numpy as np
import pytest

from ser_lib.app.clip_view import PLAYER, view_clip
from ser_lib.app.templates import THEME_DIR

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required"]
LOAD = "import(URL.createObjectURL(new Blob([source], {type: 'text/javascript'})))"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": 1000, "height": 700})
        browser.close()


@pytest.mark.parametrize("window_s", [0.005, 0.03])
def test_the_spectrogram_is_that_of_numpy(page, rng, window_s):
    rate, width, height, top_hz = 8000, 11, 64, 3000
    signal = rng.normal(0, 0.1, rate).astype(np.float32)
    found = page.evaluate(
        f"""async ([source, samples, options]) => {{
          const {{ spectrogram }} = await {LOAD};
          return [...spectrogram(Float32Array.from(samples), 8000, 0, 1, options)];
        }}""",
        [
            PLAYER.read_text(encoding="utf-8"),
            signal.tolist(),
            {"width": width, "height": height, "topHz": top_hz, "windowS": window_s},
        ],
    )
    half, n_fft = round(window_s * rate), 512
    window = np.exp(-12 * (np.arange(2 * half) / half - 1) ** 2)
    emphasised = signal - np.exp(-2 * np.pi * 50 / rate) * np.append(0, signal[:-1])
    emphasised[0] = 0
    padded = np.pad(emphasised, half)
    centres = np.floor((np.arange(width) + 0.5) / width * rate + 0.5).astype(int)
    frames = np.stack([padded[one : one + 2 * half] * window for one in centres])
    level_db = 10 * np.log10(np.abs(np.fft.rfft(frames, n_fft)) ** 2 + 1e-12)
    hz = top_hz * (1 - (np.arange(height) + 0.5) / height)
    bins_hz = np.arange(n_fft // 2 + 1) * rate / n_fft
    expected = np.stack([np.interp(hz, bins_hz, one) for one in level_db], axis=1)
    # Single precision in the browser.
    np.testing.assert_allclose(np.reshape(found, (height, width)), expected, atol=1e-2)


def test_a_page_without_a_kernel_draws_selects_and_plays_by_keyboard(page, tmp_path, write_clip):
    faults = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    path = write_clip(tmp_path / "a.wav", duration_s=0.5)
    page.set_content(view_clip(path, "sad")._repr_html_())
    canvas, said = page.locator("canvas"), page.locator("output")
    assert "Keys: Space" in canvas.get_attribute("aria-label")
    n_colours = """one => new Set(one.getContext("2d")
        .getImageData(0, 100, one.width, 200).data.filter((_, i) => i % 4 === 0)).size"""
    page.wait_for_function(f"({n_colours})(document.querySelector('canvas')) > 20")
    canvas.focus()
    page.keyboard.press("Home")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    page.wait_for_selector("output:has-text('selected 0.000 to 0.050 s')")
    page.keyboard.press("Escape")
    page.keyboard.press("Space")
    page.wait_for_selector("button:has-text('■ Stop')")
    # Where it began, to be heard again.
    page.wait_for_selector("button:has-text('▶ Play')")
    page.wait_for_selector("output:has-text('cursor 0.050 s')")
    assert "selected" not in said.inner_text()
    assert faults == []


# A widget's script with a model that keeps what it is given.
SHOW = f"""async ([source, values]) => {{
  window.sent = [];
  window.values = values;
  const model = {{
    get: (name) => values[name], set: (name, value) => (values[name] = value), on() {{}},
    save_changes() {{}},
    send: (content, _, pieces) => window.sent.push([content, pieces[0].byteLength]),
  }};
  (await {LOAD}).default.render({{ model, el: document.body }});
}}"""


def show(page, script: str, values: dict) -> None:
    page.set_content("")
    page.evaluate(SHOW, [(THEME_DIR / script).read_text(encoding="utf-8"), values])


def test_a_number_of_a_confusion_matrix_is_pressed_by_keyboard(page):
    matrix = {"labels": ["sad", "happy"], "counts": [[3, 1], [0, 2]], "caption": "6 clips"}
    show(page, "confusion.js", {"matrix": matrix, "cell": []})
    one = page.get_by_role("button", name="1 clips acted sad, predicted happy")
    one.press("Enter")
    assert page.evaluate("values.cell") == ["sad", "happy"]
    # What no clip is taken for cannot be pressed.
    assert page.get_by_role("button", name="acted happy, predicted sad").is_disabled()


def test_a_file_is_sent_in_pieces(page, tmp_path):
    show(page, "own_sound.js", {})
    (tmp_path / "a.wav").write_bytes(bytes(5 * 2**20))
    page.locator("input").set_input_files(tmp_path / "a.wav")
    page.wait_for_function("sent.length === 2")
    first, last = page.evaluate("sent")
    assert first == [{"name": "a.wav", "is_first": True, "is_last": False}, 4 * 2**20]
    assert last == [{"name": "a.wav", "is_first": False, "is_last": True}, 2**20]


def test_without_a_microphone_it_says_so(page):
    show(page, "own_sound.js", {})
    page.get_by_role("button", name="● Record").click()
    page.wait_for_selector("output:has-text('microphone')")
