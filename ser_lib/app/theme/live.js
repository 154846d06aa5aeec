// Live hearing. One piece of sound is under way to the server at a time; what comes meanwhile waits,
// so a slow answer makes the next piece longer and loses nothing. What waits too long is skipped, and
// counted by the clock, as is what the browser never delivered.

const FRAMES = `registerProcessor("ser-frames", class extends AudioWorkletProcessor {
  process([[frame]]) { if (frame) this.port.postMessage(frame.slice()); return true; }
})`;
const button = element.querySelector("button"), shown = element.querySelector("div");
let stop = null;

/** Write samples as 16 bits, in base64. */
function encode(samples) {
  const whole = Int16Array.from(samples, (one) => Math.round(Math.max(-1, Math.min(1, one)) * 32767));
  return btoa(Array.from(new Uint8Array(whole.buffer), (one) => String.fromCharCode(one)).join(""));
}

async function listen() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const context = new AudioContext({ latencyHint: "playback" });
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([FRAMES], { type: "text/javascript" })));
  const node = new AudioWorkletNode(context, "ser-frames", { channelCount: 1, channelCountMode: "explicit" });
  const name = crypto.randomUUID(), folder = props.value, rate = context.sampleRate;
  let frames = [], nWaiting = 0, nHeard = 0, began = 0, ended = 0;

  /** Take the oldest frames that make up as many samples at most. */
  function take(nSamples) {
    let nTaken = 0, n = 0;
    while (n < frames.length && nTaken + frames[n].length <= nSamples) nTaken += frames[n++].length;
    nWaiting -= nTaken;
    return frames.splice(0, n).flatMap((one) => Array.from(one));
  }

  node.port.onmessage = ({ data }) => {
    began ||= performance.now() - 1000 * data.length / rate;
    frames.push(data);
    nWaiting += data.length;
    if (nWaiting > props.patience_s * rate) take(nWaiting - props.window_s * rate);
  };
  context.createMediaStreamSource(stream).connect(node).connect(context.destination);
  stop = async () => {
    stop = null;
    button.textContent = "Hearing the rest …";
    button.disabled = true;
    await context.close();
    ended = performance.now();
    stream.getTracks().forEach((track) => track.stop());
  };
  stream.getTracks().forEach((track) => { track.onended = () => stop?.(); });
  button.textContent = "Stop";
  while (!ended || nWaiting) {
    if (!ended && nWaiting < props.every_s * rate) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    const piece = take(props.window_s * rate);
    nHeard += piece.length;
    const elapsed_s = began ? ((ended || performance.now()) - began) / 1000 : 0;
    const skipped_s = elapsed_s - (nHeard + nWaiting) / rate;
    const answer = await server.hear_piece(name, folder, rate, encode(piece), nWaiting / rate, skipped_s, Boolean(ended && !nWaiting));
    if (answer === undefined) nHeard -= piece.length;
    else shown.innerHTML = answer;
  }
}

button.onclick = async () => {
  if (stop) return stop();
  try {
    await listen();
  } catch (error) {
    shown.textContent = navigator.mediaDevices
      ? `No microphone (${error.message}); allow it in the browser.`
      : "A browser gives the microphone only to pages at localhost or https.";
  }
  button.textContent = "Record";
  button.disabled = false;
};
