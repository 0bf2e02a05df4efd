// Fills the page from its data.

for (const table of JSON.parse(document.getElementById("data").textContent)) {
  explorer(table, document.getElementById(table.id).querySelector(".explorer"));
}
viewer(JSON.parse(document.getElementById("showcase").textContent), document.querySelector(".viewer"));
