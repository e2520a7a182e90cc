(function () {
  "use strict";
  var root = document.documentElement;

  // Theme: the reader's system first, then her choice, kept where the browser allows it.
  var button = document.getElementById("theme");
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function isDark() {
    return root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  }
  function label() {
    button.textContent = isDark() ? "Light theme" : "Dark theme";
  }
  try {
    var kept = localStorage.getItem("bayesgmm-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch (e) { /* a file opened from disk may have no storage: the choice then lasts for this page */ }
  button.hidden = false;
  label();
  system.addEventListener("change", label);
  button.addEventListener("click", function () {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("bayesgmm-theme", root.dataset.theme); } catch (e) { /* as above */ }
    label();
  });

  // Row tables: sort by any column, search by row label, show open rows only.
  document.querySelectorAll(".searchable").forEach(function (box) {
    var body = box.querySelector("tbody");
    var rows = Array.from(body.rows);
    var heads = Array.from(box.querySelectorAll("thead th"));
    var search = box.querySelector("input[type=search]");
    var openOnly = box.querySelector("input[type=checkbox]");
    var output = box.querySelector("output");

    function key(row, column) {
      var cell = row.cells[column];
      var text = cell.dataset.sort === undefined ? cell.firstChild.textContent : cell.dataset.sort;
      return text.trim() === "" || isNaN(text) ? text : Number(text);
    }
    function compare(a, b) {
      if (typeof a === "number" && typeof b === "number") return a - b;
      return String(a).localeCompare(String(b), undefined, { numeric: true });
    }
    heads.forEach(function (head, column) {
      var sorter = head.querySelector("button");
      sorter.disabled = false;
      sorter.addEventListener("click", function () {
        var numeric = head.classList.contains("n");
        var now = head.getAttribute("aria-sort");
        // Numbers: largest first, for those are looked for.
        var next = now === "none" ? (numeric ? "descending" : "ascending") : now === "ascending" ? "descending" : "ascending";
        heads.forEach(function (h) { h.setAttribute("aria-sort", "none"); });
        head.setAttribute("aria-sort", next);
        var sign = next === "ascending" ? 1 : -1;
        rows.sort(function (a, b) { return sign * compare(key(a, column), key(b, column)); });
        rows.forEach(function (row) { body.appendChild(row); });
      });
    });
    function filter() {
      var wanted = search.value.trim().toLowerCase();
      var shown = 0;
      rows.forEach(function (row) {
        var found = row.cells[0].textContent.toLowerCase().indexOf(wanted) >= 0;
        if (openOnly.checked && !row.cells[1].querySelector("small")) found = false;
        row.hidden = !found;
        if (found) shown += 1;
      });
      output.textContent = shown + (shown === 1 ? " row" : " rows");
    }
    search.addEventListener("input", filter);
    openOnly.addEventListener("change", filter);
    box.querySelector(".tools").hidden = false;
  });
})();
