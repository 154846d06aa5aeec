"""The app in real Chromium: a file is dropped, a clip is spoken into a fake microphone, live too.

The server runs in a process of its own; every request of the page is recorded.
"""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import pytest
import soundfile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from ser_lib.app import server as app
from ser_lib.app import views
from ser_lib.audio.io import load_head, load_signal
from ser_lib.errors import AudioError, BundleError
from ser_lib.inference.predictor import Predictor
from ser_lib.paths import PROJECT_DIR

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-fake-device-for-media-stream "
    "--use-fake-ui-for-media-stream"
).split()
PHONE = {"width": 390, "height": 844}
# The page loads some sixty files from a server that may share its core with other tests.
PATIENCE_MS = 90_000
# Live answers take as long as the file says, and what they are about is written down.
SERVE = """
import pathlib, sys, time
from ser_lib.app import server

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
answer = server.update_live

def slow(state, samples, rate, *others):
    with open(folder / f"heard.{rate}", "ab") as file:
        file.write(samples.tobytes())
    if (folder / "delay_s").exists():
        time.sleep(float((folder / "delay_s").read_text()))
    return answer(state, samples, rate, *others)

server.update_live = slow
server.PATIENCE_S = 5.0
server.run_app(port=port, opens_browser=False)
"""


@pytest.fixture(scope="module")
def bundles(small_folder, tmp_path_factory):
    root = tmp_path_factory.mktemp("app-bundles")
    for name in ("cnn-ravdess", "another"):
        shutil.copytree(small_folder, root / name)
    return root


@pytest.fixture(scope="module")
def spoken(speak, tmp_path_factory):
    path = tmp_path_factory.mktemp("spoken") / "my voice.wav"
    voice = speak(duration_s=6.0, rate_hz=48_000)
    # Noise, by which each part is told from all others.
    noise = np.random.default_rng(0).normal(0, 0.003, len(voice))
    soundfile.write(path, voice + noise, 48_000)
    return path


@pytest.fixture(scope="module")
def behind(tmp_path_factory):
    """Hold what the server is told and tells behind the page's back."""
    return tmp_path_factory.mktemp("behind")


@pytest.fixture(scope="module")
def server(bundles, behind, tmp_path_factory):
    """Serve the app; give its address and the folder of its temporary files."""
    uploads = tmp_path_factory.mktemp("uploads")
    (uploads / "ser-app-killed").mkdir()
    (uploads / "ser-app-killed" / "voice.wav").write_bytes(b"left by an app that was killed")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    environment = os.environ | {"SER_BUNDLES": str(bundles), "GRADIO_TEMP_DIR": str(uploads)}
    environment["PYTHONPATH"] = str(PROJECT_DIR)
    # A page of this machine needs no proxy, whatever the user's shell says.
    environment |= {"ALL_PROXY": "socks5://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", SERVE, str(port), str(behind)]
    process = subprocess.Popen(command, env=environment)
    address = f"http://127.0.0.1:{port}/"
    for _ in range(1200):
        try:
            urllib.request.urlopen(address, timeout=5).close()
            break
        except OSError:
            assert process.poll() is None, "the server ended"
            time.sleep(0.1)
    yield address, uploads
    # As a system that shuts down ends it: nothing of what was recorded is left.
    process.terminate()
    assert process.wait(30) == 0
    assert list(uploads.rglob("*")) == []


@pytest.fixture(scope="module")
def browser(chromium, spoken):
    from playwright.sync_api import sync_playwright

    microphone = f"--use-file-for-fake-audio-capture={spoken}"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, microphone])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def open_page(browser, server):
    """Return a function that opens the app; `page.asked` lists all hosts that it asked."""
    contexts = []

    def show():
        contexts.append(browser.new_context(permissions=["microphone"], accept_downloads=True))
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.asked, page.faults = set(), []
        page.on("request", lambda request: page.asked.add(urlparse(request.url).netloc))
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.goto(server[0])
        page.wait_for_selector("text=Everything stays on this computer")
        return page

    yield show
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def untouched(open_page):
    return open_page()


@pytest.fixture(scope="module")
def answering(open_page, spoken):
    page = open_page()
    drop(page, spoken)
    page.get_by_text("This session").click()
    return page


def watched(page):
    page.get_by_role("tab", name="A recording").click()
    yield page
    assert page.asked <= {"", urlparse(page.url).netloc}
    assert page.faults == []


@pytest.fixture
def page(untouched):
    """The app in a window in which no file is dropped."""
    yield from watched(untouched)


@pytest.fixture
def answered(answering):
    """The app in another window, with the answer to a recording and the session's table."""
    yield from watched(answering)


def drop(page, path) -> None:
    page.get_by_role("tab", name="A recording").click()
    page.set_input_files("input[type=file] >> nth=0", str(path))
    page.wait_for_selector(".ser-answer h2")
    page.wait_for_selector(".ser-figure img")


@pytest.mark.browser
def test_a_dropped_file_gets_an_answer_a_picture_and_a_row(answered):
    page = answered
    shares = page.locator(".ser-bars .ser-share").all_inner_texts()
    assert len(shares) == 4
    assert sum(int(one.split()[0]) for one in shares) == pytest.approx(100, abs=2)
    assert page.locator(".ser-figure img").count()
    for picture in page.locator("img").all():
        assert len(picture.get_attribute("alt") or "") > 20
    row = page.wait_for_selector(".ser-scroll tbody tr")
    assert "my voice.wav" in row.inner_text()
    with page.expect_download() as download:
        page.get_by_text("Answers as CSV").click()
    assert "p_sad" in Path(download.value.path()).read_text(encoding="utf-8")


@pytest.mark.browser
def test_what_no_browser_plays_is_taken_too(page, tmp_path, speak):
    soundfile.write(tmp_path / "a.W64", speak(duration_s=2.0), 16_000, format="W64")
    drop(page, tmp_path / "a.W64")
    page.locator(".block", has_text="Or drop a file").get_by_label("Clear").click()
    page.wait_for_selector("input[type=file] >> nth=0", state="attached")


RECORD = """async (forms) => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorded = forms.map((mimeType) => new Promise((done) => {
    const recorder = new MediaRecorder(stream, { mimeType });
    recorder.ondataavailable = async ({ data }) =>
      done([...new Uint8Array(await data.arrayBuffer())]);
    recorder.start();
    setTimeout(() => recorder.stop(), 1000);
  }));
  return Promise.all(recorded);
}"""


@pytest.mark.browser
def test_what_a_browser_records_is_read_whole_and_not_at_all_where_it_is_cut(page, tmp_path):
    # Neither says how long it is, in its header.
    for content in page.evaluate(RECORD, ["audio/webm", "audio/mp4"]):
        raw = bytes(content)
        path = tmp_path / "recorded"
        path.write_bytes(raw)
        signal, rate_hz, duration_s = load_head(path)
        assert rate_hz == 48_000
        assert duration_s == pytest.approx(1.0, abs=0.3)  # the clock of a busy browser
        assert signal.any()
        path.write_bytes(raw[: round(0.6 * len(raw))])
        with pytest.raises(AudioError, match="truncated"):
            load_head(path)


@pytest.mark.browser
def test_a_letter_is_refused_as_no_sound(page, tmp_path):
    (tmp_path / "letter.wav").write_text("Dear mother")
    page.set_input_files("input[type=file] >> nth=0", str(tmp_path / "letter.wav"))
    page.wait_for_selector(".ser-problem, [data-testid=toast-body]")


@pytest.mark.browser
def test_what_is_spoken_gets_an_answer(page):
    page.get_by_role("button", name="Record").first.click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Stop").first.click()
    page.wait_for_selector(".ser-answer h2")
    assert re.match(r"Sounds|Not sure", page.locator(".ser-answer h2").first.inner_text())


@pytest.mark.browser
def test_live_answers_come_while_one_speaks(page):
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Record").last.click()
    page.wait_for_selector(".ser-live polyline", state="attached")
    page.wait_for_selector("text=/took \\d+ ms/")
    page.get_by_role("button", name="Stop").last.click()
    page.get_by_role("button", name="Record").last.wait_for()


def spoken_live(page, behind, *, seconds, delay_s):
    """Speak while answers take long; return what was heard, its rate, and what the page says."""
    for old in behind.glob("heard.*"):
        old.unlink()
    (behind / "delay_s").write_text(str(delay_s))
    page.get_by_role("tab", name="Live").click()
    page.get_by_role("button", name="Record").last.click()
    page.wait_for_timeout(1000 * seconds)
    (behind / "delay_s").unlink()
    page.get_by_role("button", name="Stop").last.click()
    page.get_by_role("button", name="Record").last.wait_for()
    (file,) = behind.glob("heard.*")
    heard = np.frombuffer(file.read_bytes(), "<i2").astype(np.float32) / 32767
    return heard, int(file.suffix[1:]), page.locator(".ser-live").inner_text()


@pytest.mark.browser
def test_slow_answers_lose_no_sound(page, behind, spoken):
    heard, rate, said = spoken_live(page, behind, seconds=5, delay_s=1.2)
    assert float(re.search(r"(\d+) s heard", said)[1]) == round(len(heard) / rate) >= 5
    assert "skipped" not in said
    # The fake microphone repeats the file, and hiccups by 10 ms: each part is where it should be.
    source = np.fft.rfft(load_signal(spoken, sample_rate_hz=rate)[0])
    length_s = 6.0
    lags_s = []
    for start in range(rate, len(heard) - rate, rate // 2):
        product = np.conj(np.fft.rfft(heard[start : start + rate], round(length_s * rate))) * source
        place = np.fft.irfft(product / (np.abs(product) + 1e-9)).argmax()
        lags_s.append((place - start) / rate)
    turns = np.exp(2j * np.pi * np.subtract(lags_s, lags_s[0]) / length_s)
    np.testing.assert_allclose(np.angle(turns) * length_s / 2 / np.pi, 0, atol=0.1)


@pytest.mark.browser
def test_what_is_skipped_is_counted(page, behind):
    heard, rate, said = spoken_live(page, behind, seconds=7, delay_s=7)
    skipped_s = float(re.search(r"(\d+) s of sound were skipped", said)[1])
    assert skipped_s >= 1
    assert skipped_s + len(heard) / rate == pytest.approx(7.5, abs=1.5)


@pytest.mark.browser
def test_the_browser_leaves_the_voice_as_it_is(page):
    settings = page.evaluate(
        "async () => { const found = await navigator.mediaDevices.getUserMedia({audio: true}); "
        "const [one] = found.getAudioTracks(); one.stop(); return one.getSettings(); }"
    )
    names = ("autoGainControl", "noiseSuppression", "echoCancellation")
    assert [settings[name] for name in names] == [False, False, False]


@pytest.mark.browser
def test_it_fits_a_phone(answered):
    size = answered.viewport_size
    answered.set_viewport_size(PHONE)
    width = answered.evaluate("document.documentElement.scrollWidth")
    answered.set_viewport_size(size)
    assert width <= PHONE["width"]


# Text that is seen, with a contrast to what is behind it below that of WCAG 2 AA.
PALE = """() => {
  const numbers = s => { const m = s.match(/[\\d.]+/g).map(Number); return m.length > 3 ? m : [...m, 1] };
  const linear = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const text = [...e.childNodes].filter(n => n.nodeType == 3).map(n => n.textContent.trim()).join('');
    if (!text || !e.checkVisibility({opacityProperty: true, visibilityProperty: true})) continue;
    let behind = [255, 255, 255, 0], opacity = 1;
    for (let n = e; n; n = n.parentElement) {
      const colour = numbers(getComputedStyle(n).backgroundColor);
      if (behind[3] == 0 && colour[3] > 0.5) behind = colour;
      opacity *= parseFloat(getComputedStyle(n).opacity);
    }
    const style = getComputedStyle(e), size = parseFloat(style.fontSize), own = numbers(style.color);
    const share = own[3] * opacity;
    const seen = own.slice(0, 3).map((v, i) => v * share + behind[i] * (1 - share));
    const [low, high] = [light(seen), light(behind)].sort((a, b) => a - b);
    const least = size >= 24 || (size >= 18.66 && style.fontWeight >= 700) ? 3 : 4.5;
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < least) found.push(text.slice(0, 40) + ' ' + contrast.toFixed(1));
  }
  return found;
}"""  # noqa: E501, a program in another language


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(answered, spoken, scheme):
    page = answered
    if scheme == "dark":
        page.emulate_media(color_scheme=scheme)
        page.reload()
        drop(page, spoken)
    assert ("dark" in (page.evaluate("document.body.className") or "")) == (scheme == "dark")
    for tab in ("A recording", "Live", "What it is not"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        assert page.evaluate(PALE) == [], tab
    # And the measure can fail.
    tag = page.add_style_tag(content="h2 { color: #888 !important; opacity: 0.5 }")
    assert page.evaluate(PALE)
    tag.evaluate("one => one.remove()")


@pytest.mark.browser
def test_a_screen_reader_finds_a_name_for_everything_that_can_be_used(answered):
    page = answered
    reader = page.context.new_cdp_session(page)
    named = set()
    for tab in ("A recording", "Live", "What it is not"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        for node in reader.send("Accessibility.getFullAXTree")["nodes"]:
            can_focus = any(one["name"] == "focusable" for one in node.get("properties", []))
            if can_focus and not node["ignored"]:
                name = node.get("name", {}).get("value", "")
                assert name, node["role"]
                named.add((node["role"]["value"], name))
    assert {("button", "Record"), ("tab", "Live"), ("combobox", "Model")} <= named


@pytest.mark.browser
def test_it_can_be_used_without_a_mouse(page):
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate(
                "document.activeElement.getAttribute('aria-label') "
                "|| document.activeElement.innerText || document.activeElement.tagName"
            ).strip()
        )
    assert any("Model" in one for one in reached), reached
    assert any("Live" in one for one in reached), reached
    assert any("Record" in one for one in reached), reached


@pytest.mark.browser
def test_another_model_can_be_chosen_and_limits_are_said(page):
    page.get_by_label("Model").click()
    page.get_by_role("option", name="another").click()
    page.get_by_role("tab", name="What it is not").click()
    page.wait_for_selector("text=Acted speech")


@pytest.mark.browser
def test_the_browser_may_ask_nobody_else(server):
    with urllib.request.urlopen(server[0], timeout=30) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


@pytest.mark.browser
def test_a_tab_that_is_closed_while_it_listens_disturbs_nobody(page, open_page):
    other = open_page()
    for one in (other, page):
        one.get_by_role("tab", name="Live").click()
        one.get_by_role("button", name="Record").last.click()
        one.wait_for_selector("text=/took \\d+ ms/")
        if one is other:
            one.context.close()
    page.get_by_role("button", name="Stop").last.click()
    page.get_by_role("button", name="Record").last.wait_for()


HEAD = b'--b\r\nContent-Disposition: form-data; name="files"; filename="%d.wav"\r\n\r\n'


def send_upload(port: int, number: int, n_bytes: int = 20_000) -> socket.socket:
    """Send the head of an upload and its first bytes; the rest never comes by itself."""
    one = socket.create_connection(("127.0.0.1", port))
    head = (
        f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {n_bytes + 1000}\r\n\r\n"
    )
    one.sendall(head.encode() + HEAD % number + number.to_bytes(2, "big") * (n_bytes // 2))
    return one


def test_uploads_at_once_are_taken_and_those_that_stop_half_way_leave_no_file(server):
    port, uploads = urlparse(server[0]).port, server[1]

    def n_files(*, is_whole: bool) -> int:
        sizes = []
        for path in uploads.rglob("*"):
            # Other tests' files are of other content, and may come at any time; gradio makes an
            # empty one for each that is dropped.
            with suppress(FileNotFoundError, IsADirectoryError):
                content = path.read_bytes()
                sizes += [len(content)] if content and content[:2] * 50 == content[:100] else []
        return sum((one > 20_000) == is_whole for one in sizes)

    slow, whole = ([send_upload(port, number) for number in range(50)] for _ in range(2))
    for number, one in enumerate(whole):
        rest = b"\r\n--b--\r\n"
        one.sendall(bytes(1000 - len(HEAD % number) - len(rest)) + rest)
    for one in whole:
        assert one.recv(15) == b"HTTP/1.1 200 OK"
        one.close()
    # The slow ones hold nobody up.
    urllib.request.urlopen(server[0], timeout=30).close()
    for one in slow:
        one.close()
    ends = time.monotonic() + 30
    while n_files(is_whole=False) and time.monotonic() < ends:
        time.sleep(0.1)
    assert (n_files(is_whole=True), n_files(is_whole=False)) == (50, 0)


OWN = "127.0.0.1:7860"
FOREIGN = {
    "another name": {"host": "evil.example"},
    "another name, our port": {"host": "evil.example:7860"},
    "a name that begins as ours": {"host": "127.0.0.1.evil.example:7860"},
    "a user as ours": {"host": "127.0.0.1:7860@evil.example"},
    "no name": {"host": ""},
    "another page": {"host": OWN, "origin": "http://evil.example"},
    "a page of another port": {"host": OWN, "origin": "http://127.0.0.1:3000"},
    "a file": {"host": OWN, "origin": "null"},
    "too large": {
        "host": OWN,
        "content-type": "multipart/form-data",
        "content-length": "500000000",
    },
    "no length": {"host": OWN, "content-length": "9\x9b0"},
    "a length that takes long to read": {"host": OWN, "content-length": "9" * 5000},
    "large, no upload": {"host": OWN, "content-type": "text/json", "content-length": "50000000"},
}
OURS = {
    "a page": {"host": OWN},
    "our page": {"host": OWN, "origin": f"http://{OWN}"},
    "through a tunnel": {"host": "localhost:9", "origin": "http://localhost:9"},
    "port 80": {"host": "localhost"},
    "an upload": {"host": OWN, "content-type": "multipart/form-data", "content-length": "99000000"},
}


def guarded(headers: dict[str, str], messages: list[dict]) -> tuple[int, int]:
    """Send a request to an app that reads all of it; return the status and the bytes read."""
    sent, n_read = [], 0

    async def inner(scope, receive, send) -> None:
        nonlocal n_read
        async for piece in Request(scope, receive).stream():
            n_read += len(piece)
        await PlainTextResponse("read")(scope, receive, send)

    waiting = iter(messages)

    async def receive() -> dict:
        return next(waiting)

    async def send(message: dict) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b""}
    scope["headers"] = [(name.encode(), value.encode()) for name, value in headers.items()]
    # Nothing in it waits; and the browser has a loop of its own here.
    with pytest.raises(StopIteration):
        app._Guard(inner)(scope, receive, send).send(None)
    return sent[0]["status"], n_read


WHOLE = [{"type": "http.request", "body": b"abc", "more_body": False}]


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_for_this_app_is_refused_unread(headers):
    assert guarded(headers, WHOLE) in ((403, 0), (413, 0))


@pytest.mark.parametrize("headers", OURS.values(), ids=OURS)
def test_what_is_for_this_app_is_answered(headers):
    assert guarded(headers, WHOLE) == (200, 3)


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=b", "application/json"])
def test_nothing_is_read_without_an_end_and_what_is_cut_off_is_an_error(kind):
    headers = {"host": OWN, "content-type": kind}
    endless = (
        {"type": "http.request", "body": bytes(2**20), "more_body": True} for _ in range(999)
    )
    is_upload = kind.startswith("multipart")
    error = MultiPartException if is_upload else ClientDisconnect
    with pytest.raises(error):
        guarded(headers, endless)
    assert len(list(endless)) > 999 - (110 if is_upload else 12)
    with pytest.raises(error):
        guarded(headers, [WHOLE[0] | {"more_body": True}, {"type": "http.disconnect"}])


def test_only_this_machine_is_served():
    assert app.HOST == "127.0.0.1"


def test_what_a_killed_app_left_is_deleted_and_what_another_app_uses_is_not(tmp_path):
    used, left, other = (tmp_path / one for one in ("ser-app-a", "ser-app-b", "others"))
    for folder in (used, left, other):
        folder.mkdir()
        (folder / "voice.wav").write_bytes(b"RIFF")
    with app._in_use(used):
        app._remove_abandoned(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["others", "ser-app-a"]


def test_a_signal_that_is_ignored_stays_so_and_no_folder_is_left(tmp_path, monkeypatch):
    names = (signal.SIGHUP, signal.SIGTERM)
    before, seen = {one: signal.getsignal(one) for one in names}, {}
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(app, "build_app", lambda: None)
    monkeypatch.setattr(
        app, "_launch", lambda *_, **__: seen.update({one: signal.getsignal(one) for one in names})
    )
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        app.run_app(opens_browser=False)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    assert seen == {signal.SIGHUP: signal.SIG_IGN, signal.SIGTERM: signal.default_int_handler}
    assert list(tmp_path.iterdir()) == []


def test_live_sound_is_kept_until_its_end_only_and_of_few(bundles, monkeypatch):
    monkeypatch.setenv("SER_BUNDLES", str(bundles))
    monkeypatch.setattr(app, "_heard", {})
    sound = base64.b64encode(bytes(16_000)).decode()

    def hear(name: str, *, folder=bundles / "another", is_last=False) -> str:
        return app.hear_piece([name, str(folder), 16_000, sound, 0.2, 3.0, is_last])

    assert "3 s of sound were skipped" in hear("a")
    hear("a")
    assert app._heard["a"].received_s == 1
    assert "2 s heard" in hear("a", is_last=True)
    for number in range(app.MAX_LIVE + 5):
        hear(str(number))
    assert list(app._heard) == [str(number) for number in range(5, app.MAX_LIVE + 5)]
    assert "no model" in hear("a", folder="/elsewhere")


def test_a_port_in_use_is_left_alone():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert app._free_port(port) > port


def test_clips_of_a_voice_are_neutral_or_not(adaptable, speak, tmp_path, monkeypatch):
    paths = [str(tmp_path / f"{number}.wav") for number in range(5)]
    for number, path in enumerate(paths):
        soundfile.write(path, speak(pitch_hz=120 + 20 * number), 16_000)
    monkeypatch.setattr(app, "_predictor", lambda folder: adaptable)
    answers = {
        (kind, len(clips)): app._predict(paths[0], "", clips, kind)
        for kind in (app.NEUTRAL, app.UNLABELLED)
        for clips in ([], paths[1:], paths)
    }
    assert "Adapted to a voice of 5 clips" in answers[app.UNLABELLED, 5][0]
    neutral, unlabelled = (answers[kind, 5][2] for kind in (app.NEUTRAL, app.UNLABELLED))
    assert neutral | {"time": ""} != unlabelled | {"time": ""}
    assert answers[app.NEUTRAL, 0][2]["emotion"] == answers[app.UNLABELLED, 0][2]["emotion"]
    assert "Adapted to a voice of 4 clips" in answers[app.NEUTRAL, 4][0]
    assert "give 5" in answers[app.UNLABELLED, 4][0]


def test_a_room_is_learned_as_one_goes(adaptable, small_bundle, speak, tmp_path, monkeypatch):
    bundles = {"able": adaptable, "unable": Predictor(small_bundle)}
    monkeypatch.setattr(app, "_predictor", bundles.__getitem__)
    room, said = app.Room(), []
    for number in range(6):
        path = str(tmp_path / f"{number}.wav")
        soundfile.write(path, speak(pitch_hz=120 + 20 * number), 16_000)
        for _ in range(2):  # the same recording, with another setting, tells nothing more
            room = room.with_recording(path, "able")
        said.append(app._predict(path, "able", None, app.NEUTRAL, room)[0])
    assert "1 clip is known of this room" in said[0]
    assert "4 clips are known of this room; it counts from 5 on" in said[3]
    assert "known by 6 clips, few" in said[5]
    answer = adaptable.in_room([tmp_path / f"{number}.wav" for number in range(6)])
    assert room.known_to("able")[0].model_id == answer.model_id
    # A voice that is known stands for the room.
    voice = app._predict(path, "able", [path] * 2, app.NEUTRAL, room)[0]
    assert "a voice of 2 clips" in voice
    assert "room" not in voice
    # Of another model nothing is known, and one that cannot adapt says so.
    assert room.with_recording(path, "unable").rows == ()
    assert "cannot be adapted" in app._predict(path, "unable", None, app.NEUTRAL, room)[0]
    with pytest.raises(AudioError):
        room.with_recording(str(tmp_path / "none.wav"), "able")


@pytest.mark.parametrize("times", [0.9, 1.3, 2.3])
def test_the_app_gives_no_certainty_to_what_it_does_not_say(
    unlike, speak, tmp_path, monkeypatch, times
):
    soundfile.write(tmp_path / "=1.wav", speak(duration_s=9.0), 16_000)
    predictor = Predictor(unlike(times=times, threshold=0.0 if times == 1.3 else 0.9))
    monkeypatch.setattr(app, "_predictor", lambda folder: predictor)
    said, _, row, _ = app._predict(str(tmp_path / "=1.wav"), "", None, app.NEUTRAL)
    assert ("Not sure" in said) == np.isnan(row["confidence"]) == (times != 1.3)
    assert np.isnan(row["p_sad"]) == (times == 2.3)
    assert row["recording"] == "./=1.wav"
    assert ("–" in views.history_html([row])) == (times != 1.3)
    state, live = None, ""
    for start in range(0, 64_000, 16_000):
        state, live = app._hear(state, (16_000, speak(duration_s=4.0)[start:][:16_000]), "")
    assert ("% sure" in live) == (times == 1.3)
    assert "nan" not in live


def test_no_bundle_no_app(tmp_path, monkeypatch):
    monkeypatch.setenv("SER_BUNDLES", str(tmp_path))
    with pytest.raises(BundleError, match="ser train"):
        app.build_app()
