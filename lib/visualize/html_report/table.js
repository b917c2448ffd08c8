// A table that is sorted by a click on a header, can be filtered, and whose rows can open.
//
// columns: [{title, value(row) -> number | string | null, show(row) -> string | Node, text: true for words,
//            best: true to mark the largest number, hint}]
// detail(row) -> Node, made when a row is opened for the first time; its button stands in the first column.
// Returns {node, render(), filter(test)}. Rows without a value come last, whichever way it is sorted.

function sortableTable({ label, columns, rows, sortBy, detail }) {
  const body = element("tbody");
  const order = { column: sortBy, descending: !columns[sortBy].text };
  const opened = new Map();
  let test = () => true;

  function compare(a, b) {
    const [x, y] = [columns[order.column].value(a), columns[order.column].value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    const step = typeof x === "number" ? x - y : x.localeCompare(y, undefined, { numeric: true });
    return order.descending ? -step : step;
  }

  function sort(index) {
    order.descending = order.column === index ? !order.descending : !columns[index].text;
    order.column = index;
    render();
  }

  const headers = columns.map((column, index) => element("th", { scope: "col", class: column.text ? "text" : null },
    element("button", { type: "button", title: column.hint, onclick: () => sort(index) }, column.title,
      element("span", { class: "arrow", "aria-hidden": "true" }))));

  function opener(row, cell) {
    const button = element("button", { type: "button", class: "opener", "aria-expanded": opened.has(row) }, cell);
    button.addEventListener("click", () => {
      const after = button.closest("tr");
      const open = opened.has(row);
      button.setAttribute("aria-expanded", !open);
      if (open) {
        opened.get(row).remove();
        opened.delete(row);
      } else {
        opened.set(row, element("tr", { class: "detail" }, element("td", { colspan: columns.length }, detail(row))));
        after.after(opened.get(row));
      }
    });
    return button;
  }

  function line(row, best) {
    const cells = columns.map((column, index) => {
      const shown = column.show(row);
      const content = index === 0 && detail ? opener(row, shown) : shown;
      const isBest = best[index] !== null && column.value(row) === best[index] && !row.baseline;
      return element(index === 0 ? "th" : "td", { scope: index === 0 ? "row" : null,
        class: [column.text ? "text" : "", isBest ? "best" : ""].join(" ").trim() || null }, content);
    });
    return element("tr", { class: row.baseline ? "baseline" : null }, ...cells);
  }

  function render() {
    const best = columns.map((column) => {
      const values = column.best ? rows.filter((row) => !row.baseline).map(column.value).filter((v) => v !== null) : [];
      return values.length > 1 ? Math.max(...values) : null;
    });
    headers.forEach((header, index) => header.setAttribute("aria-sort",
      index !== order.column ? "none" : order.descending ? "descending" : "ascending"));
    body.replaceChildren(...rows.filter(test).sort(compare)
      .flatMap((row) => [line(row, best), ...(opened.has(row) ? [opened.get(row)] : [])]));
  }

  render();
  const table = element("table", {}, element("caption", {}, label), element("thead", {}, element("tr", {}, ...headers)),
    body);
  return {
    node: element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, table),
    render,
    filter(newTest) { test = newTest; render(); return body.querySelectorAll("tr:not(.detail)").length; },
  };
}
