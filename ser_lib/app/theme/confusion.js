// A confusion matrix whose cells are buttons: the one that is pressed is the trait `cell`.

function render({ model, el }) {
  const draw = () => {
    const { labels, counts, caption } = model.get("matrix");
    const chosen = model.get("cell").join("\n"), held = el.querySelector(":focus")?.title;
    const table = document.createElement("table");
    table.className = "ser-confusion";
    table.createCaption().textContent = caption ?? "";
    const head = table.createTHead().insertRow();
    for (const text of ["acted ↓ predicted →", ...(labels ?? [])]) {
      head.append(Object.assign(document.createElement("th"), { scope: "col", textContent: text }));
    }
    const body = table.createTBody();
    (labels ?? []).forEach((truth, row) => {
      const line = body.insertRow(), total = counts[row].reduce((sum, one) => sum + one, 0);
      line.append(Object.assign(document.createElement("th"), { scope: "row", textContent: truth }));
      labels.forEach((predicted, column) => {
        const n = counts[row][column], isChosen = chosen === [truth, predicted].join("\n");
        const cell = Object.assign(document.createElement("button"), {
          type: "button", textContent: n, disabled: n === 0, title: `${n} clips acted ${truth}, predicted ${predicted}`,
          onclick: () => { model.set("cell", isChosen ? [] : [truth, predicted]); model.save_changes(); },
        });
        cell.setAttribute("aria-label", cell.title);
        cell.setAttribute("aria-pressed", isChosen);
        cell.style.setProperty("--share", total ? n / total : 0);
        line.insertCell().append(cell);
      });
    });
    el.replaceChildren(...(labels ? [table] : []));
    [...el.querySelectorAll("button")].find((one) => one.title === held)?.focus();
  };
  model.on("change:matrix", draw);
  model.on("change:cell", draw);
  draw();
}

export default { render };
