// Success, precision and normalized precision curves behind tabs, with the legend that switches trackers on and off.

// The trackers as buttons, best first; `metric` is the key of the metric that ranks them.
function legend(metric) {
  const ranked = TRACKERS.slice().sort((a, b) => b.metrics[metric] - a.metrics[metric]);
  const buttons = ranked.map((tracker) => {
    const button = element("button", { type: "button", onclick: () => visibility.toggle(tracker) }, swatch(tracker),
      element("span", { class: "metric" }, number(tracker.metrics[metric])), element("span", {}, tracker.label));
    const show = () => button.setAttribute("aria-pressed", visibility.shows(tracker));
    visibility.onChange(show);
    show();
    return element("li", {}, button);
  });
  return element("ul", { class: "legend", "aria-label": "Trackers, best first; press to hide or show" }, ...buttons);
}

function curve(plot) {
  return [chart({
    label: `${plot.title} plot: ${DATA.benchmark}`,
    ratio: 0.55,
    x: { title: plot.x_label, values: plot.x, text: (i) => `${plot.x_name} ${plot.x[i]}` },
    y: { title: plot.y_label, max: 100, text: (value) => `${value.toFixed(1)} %` },
    series: TRACKERS.map((tracker) => ({ tracker, values: tracker.curves[plot.key] })),
  }), legend(plot.metric)];
}

// pages: [{title, content() -> [nodes]}], one of them shown at a time; left and right move between them.
function tabs(label, pages) {
  const panel = element("div", { role: "tabpanel", id: "curve-panel" });
  const buttons = pages.map((page, index) => element("button", { type: "button", role: "tab", id: `tab-${index}`,
    "aria-controls": "curve-panel", onclick: () => choose(index) }, page.title));
  const contents = pages.map((page) => page.content());

  function choose(index) {
    buttons.forEach((button, i) => {
      button.setAttribute("aria-selected", i === index);
      button.tabIndex = i === index ? 0 : -1;
    });
    panel.setAttribute("aria-labelledby", `tab-${index}`);
    panel.replaceChildren(...contents[index]);
  }

  function move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
  }

  choose(0);
  return [element("div", { role: "tablist", "aria-label": label, onkeydown: move }, ...buttons), panel];
}

function curvesSection() {
  return section("Curves", "Point at a chart, or focus it and use the arrow keys, to read values; press a name to hide "
    + "or show a tracker.", ...tabs("Curves", DATA.plots.map((plot) => ({ title: plot.title, content: () => curve(plot) }))));
}
