// The voice as it is, whoever on the page asks for it: browsers change it for calls, and a gain that
// follows the level takes out what distinguishes anger from sadness.
if (navigator.mediaDevices) {
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  navigator.mediaDevices.getUserMedia = (wanted) => ask({ ...wanted, audio: wanted.audio && { ...wanted.audio, ...plain } });
}
