"use strict";
const rows = [...document.querySelectorAll("#rows tr")];
const words = document.getElementById("filter");
const boxes = [...document.querySelectorAll(".filter input[type=checkbox]")];
const count = document.getElementById("count");
function update() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const verdicts = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
  let shown = 0;
  for (const row of rows) {
    const text = (row.textContent + " " + row.dataset.digest).toLowerCase();
    row.hidden = !verdicts.has(row.dataset.verdict) || !wanted.every((word) => text.includes(word));
    shown += row.hidden ? 0 : 1;
  }
  count.textContent = shown === rows.length ? "" : shown + " of " + rows.length + " shown";
}
for (const input of [words, ...boxes]) input.addEventListener("input", update);
document.querySelector(".filter").addEventListener("submit", (event) => event.preventDefault());
update();
