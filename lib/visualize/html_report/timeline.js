// One video: the overlap of every tracker over time, drawn when it is asked for.

const UNKNOWN = 255; // a bin without a frame that can be judged
const STEPS = 250; // an overlap of 1

function decode(text) {
  return Array.from(atob(text), (character) => {
    const byte = character.charCodeAt(0);
    return byte === UNKNOWN ? NaN : byte / STEPS;
  });
}

// Ranges of frames in which no tracker has an overlap.
function unknownRanges(video, series) {
  const ranges = [];
  for (let i = 0; i < video.points; i += 1) {
    if (series.some((s) => !Number.isNaN(s.values[i]))) continue;
    const [first, last] = [i * video.bin, Math.min((i + 1) * video.bin, video.frames - 1)];
    if (ranges.length && ranges[ranges.length - 1][1] === first) ranges[ranges.length - 1][1] = last;
    else ranges.push([first, last]);
  }
  return ranges;
}

function frameText(video, i) {
  const first = i * video.bin;
  const last = Math.min(first + video.bin, video.frames) - 1;
  return first === last ? `frame ${first}` : `frames ${first}–${last}`;
}

function timeline(video) {
  const series = TRACKERS.filter((tracker) => video.overlap[tracker.index]).map((tracker) => ({ tracker,
    values: decode(video.overlap[tracker.index].mean),
    least: video.bin > 1 ? decode(video.overlap[tracker.index].least) : undefined }));
  const gaps = unknownRanges(video, series);
  const node = chart({
    label: `Overlap over time: ${video.name}`,
    ratio: 0.3,
    x: { title: "frame", text: (i) => frameText(video, i),
      values: Array.from({ length: video.points }, (_, i) => Math.min(i * video.bin, video.frames - 1)) },
    y: { title: "overlap (IoU)", max: 1,
      text: (value, least) => value.toFixed(2) + (least === undefined ? "" : ` (least ${least.toFixed(2)})`) },
    gaps,
    series,
  });
  const notes = [
    ...(video.bin > 1 ? [`Each point is the mean of ${video.bin} frames; with one or two trackers shown, the shade `
      + "reaches down to the least of them."] : []),
    ...(gaps.length ? ["Gray: frames without a target to judge by."] : []),
  ];
  return element("div", { class: "timeline" }, element("h3", {}, video.name), node,
    element("p", { class: "explanation" }, notes.join(" ")), legend("auc"));
}
