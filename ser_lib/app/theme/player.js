// A clip to look at and to play: waveform, spectrogram with pitch, formants and intensity over it,
// and predictions along time. One file for JupyterLab (anywidget's `render`) and for a page without
// a kernel (`showClip`). What is heard and seen is computed here, from the samples, so that zooming
// and playing ask nobody; contours and predictions come with the clip.

const BANDS_S = { wide: 0.005, narrow: 0.03 }; // effective length of a Gaussian window, as Praat's
const RANGE_DB = 60, EMPHASIS_HZ = 50, PITCH_HZ = [65, 600], LEVEL_DB = [-70, 0];
const WAVE = 80, SPECTRUM = 230, LINES = 76, GAP = 6, AXIS = 20, LEFT = 46, RIGHT = 40; // px
const INK = { pitch: "#1f83d6", formants: "#d55e00", intensity: "#0a9464" };
const KEYS = "Keys: Space plays or stops, ← → move the cursor, with Shift they select, + and − zoom, " +
  "0 shows all, Page Up and Page Down move on, Escape removes the selection.";

/** Transform in place; the lengths are a power of two. */
function fft(re, im, cos, sin) {
  const n = re.length;
  for (let i = 1, j = 0; i < n; i++) {
    let bit = n >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [re[i], re[j]] = [re[j], re[i]];
      [im[i], im[j]] = [im[j], im[i]];
    }
  }
  for (let size = 2; size <= n; size <<= 1) {
    const half = size >> 1, step = n / size;
    for (let start = 0; start < n; start += size) {
      for (let k = 0, t = 0; k < half; k++, t += step) {
        const a = start + k, b = a + half;
        const x = re[b] * cos[t] + im[b] * sin[t], y = im[b] * cos[t] - re[b] * sin[t];
        re[b] = re[a] - x; im[b] = im[a] - y;
        re[a] += x; im[a] += y;
      }
    }
  }
}

/** Levels in dB, row by row from the top frequency down, of `width` moments between two times. */
export function spectrogram(samples, rate, from, to, { width, height, topHz, windowS }) {
  const half = Math.max(2, Math.round(windowS * rate)); // twice as long as it is effective
  let n = 512;
  while (n < 2 * half) n *= 2;
  const cos = new Float32Array(n / 2), sin = new Float32Array(n / 2);
  for (let k = 0; k < n / 2; k++) {
    cos[k] = Math.cos((2 * Math.PI * k) / n);
    sin[k] = Math.sin((2 * Math.PI * k) / n);
  }
  const weight = Float32Array.from({ length: 2 * half }, (_, i) => Math.exp(-12 * (i / half - 1) ** 2));
  const emphasis = Math.exp((-2 * Math.PI * EMPHASIS_HZ) / rate);
  const re = new Float32Array(n), im = new Float32Array(n), power = [0, 1].map(() => new Float32Array(n / 2));
  const level = new Float32Array(width * height);
  const fill = (x, values) => {
    const first = Math.round((from + ((x + 0.5) / width) * (to - from)) * rate) - half;
    values.fill(0);
    for (let i = Math.max(0, 1 - first); i < 2 * half && first + i < samples.length; i++) {
      values[i] = weight[i] * (samples[first + i] - emphasis * samples[first + i - 1]);
    }
  };
  // Two moments in one transform: the spectrum of real values is symmetric.
  for (let x = 0; x < width; x += 2) {
    fill(x, re); fill(x + 1, im);
    fft(re, im, cos, sin);
    for (let k = 0; k < n / 2; k++) {
      const m = (n - k) % n;
      power[0][k] = 10 * Math.log10(((re[k] + re[m]) ** 2 + (im[k] - im[m]) ** 2) / 4 + 1e-12);
      power[1][k] = 10 * Math.log10(((im[k] + im[m]) ** 2 + (re[k] - re[m]) ** 2) / 4 + 1e-12);
    }
    for (let y = 0; y < height; y++) {
      const bin = Math.min(n / 2 - 1.001, (topHz * (1 - (y + 0.5) / height) * n) / rate), low = Math.floor(bin);
      for (let c = 0; c < 2 && x + c < width; c++) {
        level[y * width + x + c] = power[c][low] + (bin - low) * (power[c][low + 1] - power[c][low]);
      }
    }
  }
  return level;
}

function element(name, properties = {}, children = []) {
  const one = Object.assign(document.createElement(name), properties);
  one.append(...children);
  return one;
}

const button = (text, title, act) => element("button", { type: "button", textContent: text, title, onclick: act });

const menu = (name, options, act) => {
  const select = element("select", { onchange: act }, options.map(([text, value]) => new Option(text, value)));
  return [element("label", {}, [name + " ", select]), select];
};

const tick = (name, checked, act) => {
  const box = element("input", { type: "checkbox", checked, onchange: act });
  const label = element("label", {}, [box, " " + name]);
  label.style.color = INK[name] ?? "";
  return [label, box];
};

/** Keep Lab's shortcuts (`d` `d` deletes a cell) from what is typed within; saving goes through. */
function keepShortcutsOut(el) {
  const hush = (event) => {
    const root = el.closest(".ser-explorer") ?? el;
    const saves = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
    // At the target itself: Lab's `:focus` matches it before any ancestor is asked.
    if (root.contains(event.target)) event.target.toggleAttribute("data-lm-suppress-shortcuts", !saves);
  };
  window.addEventListener("keydown", hush, true); // before Lab, which listens at the document
  return () => window.removeEventListener("keydown", hush, true);
}

function render({ model, el }) {
  el.classList.add("ser-player");
  let clip = null, samples, loudest, from = 0, to = 1, cursor = 0, picture = {}, top = {}, sound = null, frame;
  const canvas = element("canvas", { tabIndex: 0 });
  canvas.setAttribute("role", "application"); // it has keys of its own
  const readout = element("output"), method = element("p", { className: "ser-say" });
  const again = () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(paint); };
  const [bandLabel, band] = menu("Spectrogram", [["wide band (5 ms)", "wide"], ["narrow band (30 ms)", "narrow"]], again);
  const [topLabel, upTo] = menu("up to", [["5 kHz", 5000], ["8 kHz", 8000], ["all", 1e6]], again);
  const [pitchLabel, pitch] = tick("pitch", true, again);
  const [formantsLabel, formants] = tick("formants", false, again);
  const [intensityLabel, intensity] = tick("intensity", false, again);
  const play = button("▶ Play", "Play the selection, or from the cursor on (Space)", () => (sound ? stop() : start()));
  const word = element("input", { placeholder: "label", size: 8, onkeydown: (event) => { if (event.key === "Enter") mark(); } });
  word.setAttribute("aria-label", "Label of the selected region");
  const views = [play,
    button("−", "Zoom out", () => zoom(2)), button("+", "Zoom in", () => zoom(0.5)),
    button("Selection", "Zoom to the selection", () => { const [a, b] = selection(); if (b > a) show(a, b); }),
    button("All", "Show all of the clip", () => show(0, Infinity)),
    bandLabel, topLabel, pitchLabel, formantsLabel, intensityLabel];
  const notes = [word, button("Mark", "Label the selected region; without a label, remove its marks", mark),
    button("TextGrid", "Save marks and predictions for Praat", () => model.send({ wants: "textgrid" }))];
  if (model.send) views.push(element("span", { className: "ser-bar ser-notes" }, notes));
  const keys = element("p", { className: "ser-say ser-notes", textContent: KEYS });
  el.append(element("div", { className: "ser-bar" }, views), canvas, readout, method, keys);

  const selection = () => model.get("selection")?.length ? model.get("selection") : [cursor, cursor];
  const duration = () => samples.length / clip.rate_hz;
  const within = (t, most = duration()) => Math.min(Math.max(t, 0), most);
  const predicted = () => (model.get("timeline")?.classes ? model.get("timeline") : null);
  const set = (name, value) => { model.set(name, value); model.save_changes(); };

  function select(a, b) {
    const [first, last] = [within(Math.min(a, b)), within(Math.max(a, b))];
    set("selection", last - first > 1e-3 ? [first, last] : []);
    again();
  }

  function show(a, b) {
    const most = Math.max(duration(), model.get("span_s") || 0);
    const span = Math.min(Math.max(b - a, 0.01), most);
    from = Math.min(Math.max(a, 0), most - span);
    to = from + span;
    again();
  }

  function zoom(factor, at = cursor >= from && cursor <= to ? cursor : (from + to) / 2) {
    show(at - (at - from) * factor, at - (at - from) * factor + (to - from) * factor);
  }

  function load() {
    stop();
    clip = model.get("clip");
    if (!clip?.samples) return;
    const bytes = clip.samples;
    const whole = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
    samples = Float32Array.from(whole, (one) => one / 32768);
    loudest = samples.reduce((most, one) => Math.max(most, Math.abs(one)), 0.01);
    top = {}; cursor = 0;
    canvas.setAttribute("aria-label", `${clip.caption} ${KEYS}`);
    method.textContent = clip.caption;
    show(0, Infinity);
    if (model.get("autoplay")) start();
  }

  // ---- sound

  async function start() {
    document.dispatchEvent(new CustomEvent("ser-play")); // one clip at a time
    const [a, b] = selection();
    const first = b > a ? a : cursor >= duration() - 0.01 ? 0 : cursor, last = b > a ? b : duration();
    const context = new AudioContext();
    const buffer = context.createBuffer(1, samples.length, clip.rate_hz);
    buffer.copyToChannel(samples, 0);
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(context.destination);
    sound = { context, source };
    play.textContent = "■ Stop";
    await context.resume();
    if (sound?.source !== source) return;
    const begun = context.currentTime;
    source.start(0, first, last - first);
    source.onended = () => { if (sound?.source === source) { stop(); cursor = first; } };
    const follow = () => {
      if (sound?.source !== source) return;
      cursor = Math.min(first + context.currentTime - begun, last);
      if (cursor > to) show(cursor, cursor + to - from);
      paint();
      requestAnimationFrame(follow);
    };
    follow();
  }

  function stop() {
    if (!sound) return;
    const { source, context } = sound;
    sound = null;
    source.onended = null;
    context.close();
    play.textContent = "▶ Play";
    again();
  }

  // ---- drawing

  function paint() {
    if (!clip?.samples || !canvas.clientWidth) return;
    const scale = window.devicePixelRatio || 1, width = canvas.clientWidth - LEFT - RIGHT;
    const tall = WAVE + GAP + SPECTRUM + (predicted() ? GAP + LINES : 0) + AXIS;
    canvas.style.height = tall + "px";
    canvas.width = Math.round(canvas.clientWidth * scale);
    canvas.height = Math.round(tall * scale);
    const draw = canvas.getContext("2d");
    draw.scale(scale, scale);
    draw.font = "11px system-ui, sans-serif";
    const style = getComputedStyle(el), ink = style.color, paper = style.backgroundColor;
    const x = (t) => LEFT + ((t - from) / (to - from)) * width;
    const shade = (a, b, colour, alpha, y0, y1) => {
      draw.globalAlpha = alpha; draw.fillStyle = colour;
      draw.fillRect(x(a), y0, x(b) - x(a), y1 - y0);
      draw.globalAlpha = 1;
    };
    draw.save();
    draw.beginPath(); draw.rect(LEFT, 0, width, tall - AXIS); draw.clip();
    wave(draw, x, width);
    const y0 = WAVE + GAP, topHz = Math.min(Number(upTo.value), clip.rate_hz / 2);
    const yHz = (hz) => y0 + SPECTRUM * (1 - hz / topHz);
    const share = (value, [low, high]) => y0 + SPECTRUM * (1 - (value - low) / (high - low));
    const yPitch = (hz) => share(Math.log2(hz), PITCH_HZ.map(Math.log2));
    draw.drawImage(spectrum(Math.round(width * scale), Math.round(SPECTRUM * scale), topHz, ink, paper), LEFT, y0, width, SPECTRUM);
    draw.save();
    draw.beginPath(); draw.rect(LEFT, y0, width, SPECTRUM); draw.clip();
    if (formants.checked) for (const name of ["f1_hz", "f2_hz", "f3_hz", "f4_hz"]) dots(draw, name, x, yHz, INK.formants);
    if (intensity.checked) curve(draw, clip.contours.intensity_db, x, (db) => share(db, LEVEL_DB), INK.intensity);
    if (pitch.checked) curve(draw, clip.contours.pitch_hz, x, yPitch, INK.pitch, paper);
    draw.restore();
    const bottom = tall - AXIS;
    if (predicted()) timeline(draw, x, y0 + SPECTRUM + GAP, ink);
    for (const [a, b, text] of model.get("marks") ?? []) {
      shade(a, b, "#cc79a7", 0.25, 0, bottom);
      draw.fillStyle = ink; draw.fillText(text, Math.max(x(a), LEFT) + 3, 11);
    }
    const [a, b] = selection();
    if (b > a) shade(a, b, "#56b4e9", 0.3, 0, bottom);
    draw.fillStyle = "#e0218a"; draw.fillRect(x(cursor) - 0.75, 0, 1.5, bottom);
    draw.restore();
    axes(draw, x, yHz, yPitch, topHz, tall, ink);
    say();
  }

  function wave(draw, x, width) {
    draw.fillStyle = clip.colour;
    for (let column = 0; column < width; column++) {
      const at = (c) => Math.floor((from + (c / width) * (to - from)) * clip.rate_hz);
      let low = Infinity, high = -Infinity;
      for (let i = at(column); i <= at(column + 1) && i < samples.length; i++) {
        if (samples[i] < low) low = samples[i];
        if (samples[i] > high) high = samples[i];
      }
      const y = (value) => (WAVE / 2) * (1 - value / loudest);
      if (high >= low) draw.fillRect(LEFT + column, y(high), 1, Math.max(y(low) - y(high), 1));
    }
  }

  /** Draw the spectrogram once for each view; its darkest level is that of the whole clip. */
  function spectrum(width, height, topHz, ink, paper) {
    const key = [width, height, topHz, from, to, band.value, ink, paper, samples.length].join();
    if (picture.key === key && picture.clip === clip) return picture.canvas;
    const options = { width, height, topHz, windowS: BANDS_S[band.value] };
    const level = spectrogram(samples, clip.rate_hz, from, to, options);
    top[band.value] ??= level.reduce((most, one) => Math.max(most, one), -100);
    const colours = [paper, ink].map((colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number));
    const off = new OffscreenCanvas(width, height), image = new ImageData(width, height);
    for (let i = 0; i < level.length; i++) {
      const dark = Math.min(Math.max(1 + (level[i] - top[band.value]) / RANGE_DB, 0), 1);
      for (let c = 0; c < 3; c++) image.data[4 * i + c] = colours[0][c] + dark * (colours[1][c] - colours[0][c]);
      image.data[4 * i + 3] = 255;
    }
    off.getContext("2d").putImageData(image, 0, 0);
    picture = { key, clip, canvas: off };
    return off;
  }

  const moments = (values, act) => values.forEach((value, i) => act(i * clip.contours.step_s, value));

  function curve(draw, values, x, y, colour, halo) {
    const path = new Path2D();
    let isOn = false;
    moments(values, (t, value) => {
      if (value === null) { isOn = false; return; }
      if (!isOn) path.moveTo(x(t) - 1, y(value)); // seen where it stands alone, too
      path.lineTo(x(t), y(value));
      isOn = true;
    });
    draw.lineJoin = "round";
    for (const [stroke, thick] of [[halo, 5], [colour, 2.5]]) {
      if (stroke) { draw.strokeStyle = stroke; draw.lineWidth = thick; draw.stroke(path); }
    }
  }

  function dots(draw, name, x, y, colour) {
    draw.fillStyle = colour;
    moments(clip.contours[name], (t, value) => value !== null && draw.fillRect(x(t) - 1.25, y(value) - 1.25, 2.5, 2.5));
  }

  /** The classes with the highest means over time, from 0 to 100 %; the others lie below them. */
  function timeline(draw, x, y0, ink) {
    const { start_s, end_s, classes } = predicted();
    const y = (share) => y0 + LINES * (1 - share);
    let legend = LEFT + 4;
    for (const { colour, shares, text } of classes.slice(0, 4)) {
      draw.strokeStyle = draw.fillStyle = colour; draw.lineWidth = 2;
      draw.beginPath();
      shares.forEach((share, i) => {
        const middle = x((start_s[i] + end_s[i]) / 2);
        if (share === null) return;
        if (i && shares[i - 1] !== null) draw.lineTo(middle, y(share)); else draw.moveTo(middle, y(share));
        draw.fillRect(middle - 2, y(share) - 2, 4, 4);
      });
      draw.stroke();
      draw.fillRect(legend, y0 + 1, 8, 8);
      draw.fillStyle = ink; draw.fillText(text, legend + 11, y0 + 9);
      legend += draw.measureText(text).width + 22;
    }
  }

  function axes(draw, x, yHz, yPitch, topHz, tall, ink) {
    draw.fillStyle = ink; draw.strokeStyle = ink; draw.globalAlpha = 0.85;
    draw.textBaseline = "middle"; draw.textAlign = "right";
    for (let khz = 1; khz * 1000 <= topHz; khz += topHz > 9000 ? 4 : 1) draw.fillText(`${khz} kHz`, LEFT - 4, yHz(khz * 1000));
    if (predicted()) for (const [text, y] of [["100 %", 6], ["0 %", LINES - 4]]) draw.fillText(text, LEFT - 4, tall - AXIS - LINES + y);
    draw.textAlign = "left";
    draw.fillStyle = INK.pitch;
    if (pitch.checked) for (const hz of [75, 150, 300, 600]) draw.fillText(`${hz} Hz`, canvas.clientWidth - RIGHT + 3, yPitch(hz) + 4);
    draw.fillStyle = ink; draw.textAlign = "center";
    const steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100], span = to - from;
    const step = steps.find((one) => span / one <= canvas.clientWidth / 70) ?? 200;
    for (let n = Math.ceil(from / step); n * step <= to; n++) {
      draw.fillText(`${(n * step).toFixed(step < 0.1 ? 2 : step < 1 ? 1 : 0)} s`, x(n * step), tall - AXIS / 2 + 2);
    }
    draw.globalAlpha = 1;
  }

  /** Say what stands at the cursor. */
  function say() {
    const [a, b] = selection(), at = Math.round(cursor / clip.contours.step_s);
    const value = (name, unit) => {
      const found = clip.contours[name][at] ?? null;
      return found === null ? [] : [`${name.split("_")[0]} ${Math.round(found)} ${unit}`.replace("-", "−")];
    };
    const parts = [`cursor ${cursor.toFixed(3)} s`];
    if (b > a) parts.push(`selected ${a.toFixed(3)} to ${b.toFixed(3)} s (${(b - a).toFixed(3)} s)`);
    parts.push(...value("pitch_hz", "Hz"), ...["f1_hz", "f2_hz", "f3_hz"].flatMap((one) => value(one, "Hz")),
      ...value("intensity_db", "dB re full scale"));
    if (predicted()) {
      const { start_s, end_s, classes } = predicted();
      const near = start_s.map((s, i) => Math.abs((s + end_s[i]) / 2 - cursor));
      const window = near.indexOf(Math.min(...near));
      const found = classes.filter((one) => one.shares[window] !== null).sort((p, q) => q.shares[window] - p.shares[window]);
      parts.push(...found.slice(0, 2).map((one) => `${one.text} ${Math.round(100 * one.shares[window])} %`));
    }
    readout.ariaLive = sound ? "off" : "polite"; // not sixty times a second
    const text = parts.join(" · ");
    if (readout.textContent !== text) readout.textContent = text;
  }

  // ---- hands

  function mark() {
    const [a, b] = selection(), text = word.value.trim();
    if (b <= a) { readout.textContent = "Select a region first: drag, or Shift with the arrows."; return; }
    const others = (model.get("marks") ?? []).filter(([c, d]) => d <= a || c >= b);
    set("marks", [...others, ...(text ? [[a, b, text]] : [])].sort((p, q) => p[0] - q[0]));
    again();
  }

  const timeAt = (event) => within(from + ((event.offsetX - LEFT) / (canvas.clientWidth - LEFT - RIGHT)) * (to - from));
  let anchor = null;
  canvas.onpointerdown = (event) => {
    if (event.button || !clip?.samples) return;
    canvas.setPointerCapture(event.pointerId);
    anchor = event.shiftKey ? cursor : timeAt(event);
    cursor = anchor;
    select(anchor, event.shiftKey ? timeAt(event) : anchor);
  };
  canvas.onpointermove = (event) => anchor !== null && select(anchor, timeAt(event));
  canvas.onpointerup = () => (anchor = null);
  canvas.onwheel = (event) => {
    if (event.ctrlKey) { event.preventDefault(); zoom(2 ** (event.deltaY / 200), timeAt(event)); }
    else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      const by = ((event.deltaX || event.deltaY) / 500) * (to - from);
      show(from + by, to + by);
    }
  };
  canvas.onkeydown = (event) => {
    if (!clip?.samples || event.ctrlKey || event.metaKey || event.altKey) return;
    const span = to - from, moves = { ArrowLeft: -span / 100, ArrowRight: span / 100, Home: -Infinity, End: Infinity };
    const acts = { " ": () => play.click(), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => show(0, Infinity),
      PageUp: () => show(from - span / 2, to - span / 2), PageDown: () => show(from + span / 2, to + span / 2), Escape: () => select(0, 0) };
    if (event.key in moves) {
      const [a, b] = selection(), fixed = Math.abs(cursor - a) < Math.abs(cursor - b) ? b : a, before = cursor;
      cursor = within(cursor + moves[event.key]);
      if (event.shiftKey) select(b > a ? fixed : before, cursor);
      if (cursor < from || cursor > to) show(cursor - span / 2, cursor + span / 2);
      again();
    } else if (event.key in acts) acts[event.key]();
    else return;
    event.preventDefault();
  };

  model.on("change:clip", load);
  model.on("change:span_s", () => clip?.samples && show(0, Infinity));
  for (const name of ["marks", "timeline", "selection"]) model.on(`change:${name}`, again);
  model.on("msg:custom", ({ name, text }) => {
    const link = URL.createObjectURL(new Blob([text]));
    element("a", { href: link, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(link), 1000);
  });
  const size = new ResizeObserver(again);
  size.observe(canvas);
  const speakUp = keepShortcutsOut(el);
  document.addEventListener("ser-play", stop);
  load();
  return () => { stop(); size.disconnect(); speakUp(); document.removeEventListener("ser-play", stop); };
}

/** Show a clip on a page without a kernel; its samples are base64. */
export function showClip(el, clip) {
  const values = { selection: [], clip: { ...clip, samples: Uint8Array.from(atob(clip.samples), (one) => one.charCodeAt(0)) } };
  el.replaceChildren();
  render({ el, model: { get: (name) => values[name], set: (name, value) => (values[name] = value), save_changes() {}, on() {} } });
}

export default { render };
