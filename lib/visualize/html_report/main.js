// Puts the page together: problems first.

function problemsSection() {
  if (!DATA.problems.length && !DATA.notes.length) return [];
  const list = (items) => element("ul", { class: "messages" }, ...items.map((text) => element("li", {}, text)));
  const few = (items, title) => (items.length <= 8 ? list(items)
    : element("details", {}, element("summary", {}, title), list(items)));
  const count = DATA.problems.length;
  const parts = [];
  if (count) {
    parts.push(section("Problems", `${count} ${count === 1 ? "problem" : "problems"}: what is named here `
      + "is not part of any mean.", few(DATA.problems, `All ${count} problems`)));
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
  const articles = moments.losses.map((loss) => element("article", { class: "moment" },
    element("h3", {}, loss.video, element("small", {}, ` lost at frame ${loss.frame}; AUC ${number(loss.auc)}`)),
    element("div", { class: "images" }, ...loss.images.map((image) => element("figure", {},
      image.source ? element("img", { src: image.source, width: image.width, height: image.height,
        alt: `${loss.video}, frame ${image.frame}, with boxes` }) : element("p", {}, image.error),
      element("figcaption", {}, `frame ${image.frame}: IoU ${number(image.overlap, 2)}`)))),
  ));
  return [section("Worst moments", `Where ${moments.tracker}, the first of the ranking, first loses the target (overlap `
    + `below ${moments.lost_below} for ${moments.run} frames) in its weakest videos: before, at the loss, and `
    + `${moments.run - 1} frames on. White: the ground truth.`,
  element("ul", { class: "boxes" }, ...REAL.filter((tracker) => moments.drawn.includes(tracker.index)).map(box)),
  ...articles)];
}

function glossary() {
  return element("details", { class: "glossary" }, element("summary", {}, "What the metrics mean"), element("p", {},
    "Success AUC: the share of frames whose overlap with the ground truth is above a threshold, averaged over "
    + "thresholds 0, 0.05 … 1 (OP50, OP75: at 0.5 and 0.75). Precision: the share of frames whose center is at most 20 pixels off; "
    + "normalized precision: at most 0.2 of the true box's width and height. These are computed per video and averaged "
    + "over videos. AO, SR0.5 and SR0.75: the mean overlap and the shares above 0.5 and 0.75, over all frames except "
    + "each video's first. Frames without a usable ground truth count as in the benchmark's own toolkit."));
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
