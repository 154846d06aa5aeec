// Without this script the page is complete; it adds a button, a highlight and a menu that closes.
(function () {
  "use strict";

  const folds = document.querySelectorAll("main details");
  const button = document.querySelector(".ser-toggle");
  button.hidden = folds.length === 0;
  button.addEventListener("click", function () {
    const isShown = button.getAttribute("aria-pressed") !== "true";
    folds.forEach(function (fold) { fold.open = isShown; });
    button.setAttribute("aria-pressed", String(isShown));
    button.textContent = isShown ? "Fold again" : "Unfold everything";
  });

  // On paper nothing can be unfolded; what was folded is folded again.
  let opened = [];
  window.addEventListener("beforeprint", function () {
    opened = Array.from(folds).filter(function (one) { return !one.open && !one.matches(".ser-code"); });
    opened.forEach(function (one) { one.open = true; });
  });
  window.addEventListener("afterprint", function () {
    opened.forEach(function (one) { one.open = false; });
  });

  // A link opens the folds that it leads into, and those of a table itself; also a second time.
  function unfold() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target || target.closest(".ser-menu")) { return; }
    const folds = Array.from(target.matches("figure") ? target.querySelectorAll("details") : []);
    for (let one = target.closest("details"); one; one = one.parentElement.closest("details")) {
      folds.push(one);
    }
    if (folds.every(function (one) { return one.open; })) { return; }
    folds.forEach(function (one) { one.open = true; });
    target.scrollIntoView();
  }
  window.addEventListener("hashchange", unfold);
  document.addEventListener("click", function (event) {
    const link = event.target.closest("main a");
    if (link && link.hash && link.hash === location.hash) { unfold(); }
  });
  unfold();

  document.querySelectorAll(".ser-svg").forEach(function (link) {
    const picture = link.closest("figure").querySelector("img");
    link.addEventListener("click", function () { link.href = picture.src; });
  });

  const menu = document.querySelector(".ser-menu");
  menu.addEventListener("click", function (event) {
    if (event.target.closest("a")) { menu.open = false; }
  });
  document.addEventListener("click", function (event) {
    if (!menu.contains(event.target)) { menu.open = false; }
  });
  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  const links = document.querySelectorAll(".ser-sidebar a, .ser-menu a");
  // Not scrollIntoView: with it the first Tab would start from there, not from the page's top.
  function reveal(item, box) {
    const inner = item.getBoundingClientRect(), outer = box.getBoundingClientRect();
    if (inner.top < outer.top) { box.scrollTop -= outer.top - inner.top; }
    if (inner.bottom > outer.bottom) { box.scrollTop += inner.bottom - outer.bottom; }
  }

  const boxes = document.querySelectorAll(".ser-sidebar, .ser-menu > nav");
  function revealCurrent(box) {
    const current = box.querySelector("[aria-current]");
    if (current) { reveal(current, box); }
  }
  // What is closed has no height to scroll.
  menu.addEventListener("toggle", function () { boxes.forEach(revealCurrent); });

  function mark(id) {
    links.forEach(function (link) {
      const isHere = link.hash === "#" + id;
      link.toggleAttribute("aria-current", isHere);
      if (isHere) { link.setAttribute("aria-current", "location"); }
    });
    boxes.forEach(function (box) {
      box.querySelectorAll(":scope > ul > li").forEach(function (item) {
        item.classList.toggle("is-open", item.querySelector("[aria-current]") !== null);
      });
      revealCurrent(box);
    });
  }

  // A heading counts as read from when it passes the upper quarter of the window.
  const ids = new Set(Array.from(links, function (link) { return link.hash.slice(1); }));
  const targets = Array.from(ids, function (id) {
    return document.getElementById(id);
  }).filter(Boolean);
  function update() {
    const edge = window.innerHeight / 4;
    const passed = targets.filter(function (one) {
      return one.checkVisibility() && one.getBoundingClientRect().top <= edge;
    });
    mark((passed.pop() || targets[0]).id);
  }
  const observer = new IntersectionObserver(update, { rootMargin: "0px 0px -75% 0px" });
  targets.forEach(function (one) { observer.observe(one); });
  update();
})();
