// A click on the head of a column, or Enter on it, sorts the rows of its table; again, backwards.
(function () {
  "use strict";
  // JupyterLab runs this with every table.
  if (window.serSorts) { return; }
  window.serSorts = true;

  const style = document.createElement("style");
  style.textContent = ".ser-cells thead th { cursor: pointer } " +
    ".ser-cells th[aria-sort=ascending]::after { content: ' \u25b4' } " +
    ".ser-cells th[aria-sort=descending]::after { content: ' \u25be' }";
  document.head.append(style);

  const words = new Intl.Collator("en", { numeric: true });
  const isNumber = /^[-+\u2212<=>~ ]*\d[\d,.]*[ \xa0]?%?$/;
  function value(row, column) {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replace(/[^-\u2212\d.]/g, "").replace("\u2212", "-"));
    // What is missing, or no number, comes first.
    return [isNumber.test(text) ? number : -Infinity, text];
  }

  function sort(event) {
    const head = event.target.closest && event.target.closest(".ser-cells thead th");
    if (!head || (event.type === "keydown" && event.key !== "Enter")) { return; }
    // In JupyterLab Enter edits the cell.
    event.preventDefault();
    event.stopPropagation();
    const isUp = head.getAttribute("aria-sort") !== "ascending";
    const body = head.closest("table").tBodies[0];
    const rows = Array.from(body.rows, function (row) { return [row, ...value(row, head.cellIndex)]; });
    rows.sort(function (a, b) { return a[1] - b[1] || words.compare(a[2], b[2]); });
    if (!isUp) { rows.reverse(); }
    body.append(...rows.map(function (one) { return one[0]; }));
    for (const one of head.parentElement.cells) { one.removeAttribute("aria-sort"); }
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  }
  for (const head of document.querySelectorAll(".ser-cells thead th")) { head.tabIndex = 0; }
  document.addEventListener("click", sort, true);
  document.addEventListener("keydown", sort, true);
})();
