// The tables of trackers, attributes and videos.

const TRACKER_METRICS = [
  ["auc", "AUC", 1, "success: mean over the overlap thresholds"], ["op50", "OP50", 1, "success at overlap 0.5"],
  ["op75", "OP75", 1, "success at overlap 0.75"], ["precision", "Prec", 1, "center within 20 pixels"],
  ["norm_precision", "NormPrec", 1, "center within 0.2 of the target's size"],
  ["ao", "AO", 1, "mean overlap over all frames"], ["sr50", "SR0.5", 1, "share of all frames with overlap above 0.5"],
  ["sr75", "SR0.75", 1, "share of all frames with overlap above 0.75"], ["fps", "FPS", 1, "frames a second"],
];

function trackersSection() {
  const metrics = TRACKER_METRICS.map(([key, title, digits, hint]) => ({
    title, hint, best: true, value: (row) => row.metrics[key], show: (row) => number(row.metrics[key], digits) }));
  const table = sortableTable({
    label: `Trackers on ${DATA.benchmark}; all metrics in % except FPS`,
    rows: TRACKERS,
    sortBy: 1,
    columns: [
      { title: "Tracker", text: true, value: (row) => row.name,
        show: (row) => element("span", { class: "tracker" }, swatch(row), row.label) },
      ...metrics,
      { title: "Videos", value: (row) => row.videos, show: (row) => String(row.videos) },
    ],
  });
  return section("Trackers", null, table.node);
}

// Columns with the metric of every tracker, for rows with `metrics`: a list that follows TRACKERS.
function trackerColumns(metric) {
  return TRACKERS.map((tracker, index) => ({
    title: short(tracker.name),
    hint: tracker.name,
    value: (row) => row.metrics[index]?.[metric()] ?? null,
    show: (row) => {
      const text = number(row.metrics[index]?.[metric()] ?? null);
      const best = Math.max(...REAL.map((real) => row.metrics[real.index]?.[metric()] ?? -1));
      return REAL.length > 1 && !tracker.baseline && row.metrics[index]?.[metric()] === best
        ? element("b", {}, text) : text;
    },
  }));
}

// A table whose last columns are one metric of every tracker, and the choice of that metric.
function metricTable(options) {
  let metric = "auc";
  const table = sortableTable({
    ...options, sortBy: 0, columns: [...options.columns, ...trackerColumns(() => metric)],
  });
  return { table, choice: metricChoice((key) => { metric = key; table.render(); }) };
}

function attributesSection() {
  const { table, choice } = metricTable({
    label: "Figures by attribute, in %; the best of a row in bold",
    rows: DATA.attributes,
    columns: [
      { title: "Attribute", text: true, value: (row) => row.name, show: (row) => row.name },
      { title: "Videos", value: (row) => row.videos, show: (row) => String(row.videos) },
    ],
  });
  const said = [
    ...(DATA.measured ? ["The dataset names no attributes here: these are measured on its boxes."] : []),
    ...(DATA.attributes.some((row) => row.metrics.some((f) => !f || f.videos !== row.videos))
      ? ["Some trackers lack results: their means are over fewer videos than the column says."] : []),
  ];
  return section("Attributes", said.join(" "), element("div", { class: "controls" }, choice), table.node);
}

function videosSection() {
  const { table, choice } = metricTable({
    label: "Figures by video, in %; a name opens the overlap over time",
    rows: DATA.videos,
    detail: timeline,
    columns: [
      { title: "Video", text: true, value: (row) => row.name, show: (row) => row.name },
      { title: "Frames", value: (row) => row.frames, show: (row) => String(row.frames) },
    ],
  });
  const count = element("output", { class: "explanation" });
  const search = element("input", { type: "search", id: "video-filter", placeholder: "part of a name", oninput: () => {
    const wanted = search.value.toLocaleLowerCase();
    const left = table.filter((row) => row.name.toLocaleLowerCase().includes(wanted));
    count.textContent = wanted ? `${left} of ${DATA.videos.length} videos` : "";
  } });
  return section("Videos", null, element("div", { class: "controls" },
    element("label", { class: "control", for: "video-filter" }, "Videos with "), search, choice, count), table.node);
}
