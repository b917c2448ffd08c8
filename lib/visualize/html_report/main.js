// Puts the page together: problems first.

function problemsSection() {
  if (!DATA.problems.length && !DATA.notes.length) return [];
  const list = (items) => element("ul", { class: "messages" }, ...items.map((text) => element("li", {}, text)));
  const few = (items, title) => (items.length <= 8 ? list(items)
    : element("details", {}, element("summary", {}, title), list(items)));
  const count = DATA.problems.length;
  const parts = [];
  if (count) {
    parts.push(section("Problems", `${count} ${count === 1 ? "problem stands" : "problems stand"} against the figures `
      + "below: what is named here is part of no mean.", few(DATA.problems, `All ${count} problems`)));
    parts[0].classList.add("problems");
  }
  if (DATA.notes.length) {
    parts.push(section("Notes", null, few(DATA.notes, `${DATA.notes.length} notes on the annotation`)));
  }
  return parts;
}

function momentsSection() {
  const moments = DATA.moments;
  if (!moments.losses.length) return [];
  const box = (tracker) => element("li", { class: tracker.style }, element("span", { class: "box" }), tracker.name);
  const figures = moments.losses.map((loss) => element("article", { class: "moment" },
    element("h3", {}, loss.video, element("small", {}, ` lost at frame ${loss.frame}; AUC ${number(loss.auc)}`)),
    element("div", { class: "pictures" }, ...loss.pictures.map((picture) => element("figure", {},
      picture.source ? element("img", { src: picture.source, width: picture.width, height: picture.height,
        alt: `${loss.video}, frame ${picture.frame}, with boxes` }) : element("p", {}, picture.error),
      element("figcaption", {}, `frame ${picture.frame}: IoU ${number(picture.overlap, 2)}`)))),
  ));
  return [section("Worst moments", `Where ${moments.tracker}, the first of the ranking, first loses the target (overlap `
    + `below ${moments.lost_below} for ${moments.run} frames) in its weakest videos: before, at the loss, and `
    + `${moments.run - 1} frames on. White: the truth.`,
  element("ul", { class: "boxes" }, ...REAL.filter((tracker) => moments.drawn.includes(tracker.index)).map(box)),
  ...figures)];
}

function glossary() {
  return element("details", { class: "glossary" }, element("summary", {}, "What the figures mean"), element("p", {},
    "Success AUC: the share of frames whose overlap with the truth is above a threshold, averaged over thresholds 0, "
    + "0.05 … 1 (OP50, OP75: at 0.5 and 0.75). Precision: the share of frames whose centre is at most 20 pixels off; "
    + "normalised precision: at most 0.2 of the true box's width and height. These are made a video and averaged over "
    + "videos. AO, SR0.5 and SR0.75: the mean overlap and the shares above 0.5 and 0.75, over all frames but each "
    + "video's first. Frames without a usable truth count as the benchmark's own rule says."));
}

document.getElementById("summary").textContent = `${DATA.videos.length} of ${DATA.expected} videos, `
  + `${DATA.videos.reduce((sum, video) => sum + video.frames, 0).toLocaleString("en")} frames, ${REAL.length} `
  + `${REAL.length === 1 ? "tracker" : "trackers"}`;
document.getElementById("content").replaceChildren(
  ...problemsSection(),
  ...(TRACKERS.length ? [trackersSection(), glossary(), curvesSection()] : []),
  ...(DATA.attributes.length ? [attributesSection()] : []),
  ...momentsSection(),
  ...(DATA.videos.length && TRACKERS.length ? [videosSection()] : []),
);
