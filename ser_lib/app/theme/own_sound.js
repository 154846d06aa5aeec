// A recording of one's own for the explorer: a file that is chosen, or the microphone. Its bytes go
// to the kernel in pieces that the Jupyter server lets through.

const PIECE = 4 * 2 ** 20, MOST = 200 * 2 ** 20;

/** Write mono samples as a WAV file of 16 bits. */
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const put = (at, text) => [...text].forEach((one, i) => view.setUint8(at + i, one.charCodeAt(0)));
  put(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); put(8, "WAVEfmt ");
  [[16, 16, 4], [20, 1, 2], [22, 1, 2], [24, rate, 4], [28, 2 * rate, 4], [32, 2, 2], [34, 16, 2]].forEach(
    ([at, value, size]) => (size === 4 ? view.setUint32(at, value, true) : view.setUint16(at, value, true)));
  put(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((one, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, one)) * 32767, true));
  return view.buffer;
}

function render({ model, el }) {
  el.classList.add("ser-bar");
  const file = Object.assign(document.createElement("input"), { type: "file", accept: model.get("accept") });
  file.setAttribute("aria-label", "A recording of your own");
  const record = Object.assign(document.createElement("button"), { type: "button", textContent: "● Record" });
  const state = document.createElement("output");
  el.append(file, record, state);
  let recorder = null;

  function send(name, bytes) {
    if (bytes.byteLength > MOST) {
      state.textContent = `${name}: more than ${MOST / 2 ** 20} MB; give its path instead.`;
      return;
    }
    for (let at = 0; at === 0 || at < bytes.byteLength; at += PIECE) {
      const piece = bytes.slice(at, at + PIECE);
      model.send({ name, is_first: at === 0, is_last: at + PIECE >= bytes.byteLength }, undefined, [piece]);
    }
    state.textContent = "";
  }

  file.onchange = async () => {
    if (file.files[0]) send(file.files[0].name, await file.files[0].arrayBuffer());
    file.value = "";
  };

  record.onclick = async () => {
    if (recorder) { recorder.stop(); return; }
    try {
      // The voice as it is: browsers change it for calls.
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      const stream = await navigator.mediaDevices.getUserMedia({ audio });
      recorder = new MediaRecorder(stream);
      const parts = [];
      recorder.ondataavailable = (event) => parts.push(event.data);
      recorder.onstop = async () => {
        stream.getTracks().forEach((track) => track.stop());
        recorder = null;
        record.textContent = "● Record";
        const context = new AudioContext();
        const sound = await context.decodeAudioData(await new Blob(parts).arrayBuffer());
        context.close();
        const time = new Date().toTimeString().slice(0, 8).replaceAll(":", ".");
        send(`recorded at ${time}.wav`, wav(sound.getChannelData(0), sound.sampleRate));
      };
      recorder.start();
      record.textContent = "■ Stop recording";
      state.textContent = "Recording …";
    } catch (error) {
      recorder = null;
      state.textContent = navigator.mediaDevices
        ? `No microphone (${error.message}); allow it in the browser.`
        : "A browser gives the microphone only to pages at localhost or https.";
    }
  };
  return () => recorder?.stop();
}

export default { render };
