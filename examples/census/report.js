// Tables sort by the heading that is clicked; the wheel shows the imports of the name under the pointer.
for (const table of document.querySelectorAll("table")) {
  table.querySelectorAll("th").forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => sortBy(table, heading, column));
  });
}

function sortBy(table, heading, column) {
  const numeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  const rising = before ? before === "descending" : !numeric;
  const value = (row) => row.cells[column].dataset.value;
  const compare = (a, b) => (numeric ? value(a) - value(b) : value(a).localeCompare(value(b)));
  const rows = [...table.tBodies[0].rows].sort((a, b) => (rising ? compare(a, b) : compare(b, a)));
  table.querySelectorAll("th").forEach((each) => each.removeAttribute("aria-sort"));
  heading.setAttribute("aria-sort", rising ? "ascending" : "descending");
  table.tBodies[0].append(...rows);
}

for (const wheel of document.querySelectorAll(".wheel")) {
  for (const spoke of wheel.querySelectorAll(".spoke")) {
    spoke.addEventListener("mouseenter", () => focus(wheel, spoke.dataset.name));
    spoke.addEventListener("mouseleave", () => focus(wheel, null));
  }
}

function focus(wheel, name) {
  wheel.classList.toggle("focus", name !== null);
  for (const arc of wheel.querySelectorAll(".arc")) {
    arc.classList.toggle("near", name !== null && [arc.dataset.start, arc.dataset.end].includes(name));
  }
}
