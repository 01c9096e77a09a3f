"use strict";
(() => {
  const svg = document.documentElement;
  const by_id = (id) => document.getElementById(id);
  const frames = [...svg.querySelectorAll("g.f")].map((g) => {
    const rect = g.querySelector("rect");
    const said = g.querySelector("title").textContent.split("\n");
    const number = (name) => Number(rect.getAttribute(name));
    return {
      g, rect, said, name: said[0], text: g.querySelector("text"),
      x: number("x"), y: number("y"), width: number("width"), shown: true,
    };
  });
  const root = frames[0];
  let zoom = root;
  let wanted = "";

  // Edges are whole tenths of a pixel; half of one settles what floating point makes of them.
  const holds = (outer, inner) =>
    outer.x <= inner.x + 0.05 && outer.x + outer.width >= inner.x + inner.width - 0.05;

  function label(frame, x, width) {
    const letters = Math.floor((width - 2 * PADDING) / LETTER);
    if (!frame.text) {
      if (letters < 3) return;
      frame.text = document.createElementNS(svg.namespaceURI, "text");
      frame.text.setAttribute("y", frame.y + 12);
      frame.g.appendChild(frame.text);
    }
    const name = [...frame.name];
    const fits = name.length <= letters ? frame.name : name.slice(0, letters - 1).join("") + "…";
    frame.text.textContent = letters < 3 ? "" : fits;
    frame.text.setAttribute("x", x + PADDING);
  }

  function draw() {
    const scale = WIDTH / zoom.width;
    for (const frame of frames) {
      const above = frame.y < zoom.y && holds(frame, zoom);
      frame.shown = above || (frame.y >= zoom.y && holds(zoom, frame));
      frame.g.style.display = frame.shown ? "" : "none";
      frame.g.classList.toggle("above", above);
      if (!frame.shown) continue;
      const x = above ? MARGIN : MARGIN + (frame.x - zoom.x) * scale;
      const width = above ? WIDTH : frame.width * scale;
      frame.rect.setAttribute("x", x);
      frame.rect.setAttribute("width", width);
      label(frame, x, width);
    }
    by_id("reset").setAttribute("visibility", zoom === root && !wanted ? "hidden" : "visible");
    count();
  }

  // Of frames that call each other, the outermost alone is counted.
  function count() {
    const counted = [];
    for (const frame of frames) {
      const found =
        wanted !== "" && frame !== root && frame.name.toLowerCase().includes(wanted);
      frame.g.classList.toggle("found", found);
      const inside = frame.shown && frame.y >= zoom.y;
      if (found && inside && !counted.some((other) => holds(other, frame))) counted.push(frame);
    }
    const width = counted.reduce((sum, frame) => sum + frame.width, 0);
    const share = ((100 * width) / zoom.width).toFixed(1);
    by_id("matched").textContent = wanted ? `“${wanted}”: ${share}% of what is shown` : " ";
  }

  function search() {
    const asked = prompt("Part of a function's name:", wanted);
    if (asked === null) return;
    wanted = asked.trim().toLowerCase();
    draw();
  }

  function reset() {
    zoom = root;
    wanted = "";
    draw();
  }

  for (const frame of frames) {
    frame.g.addEventListener("click", () => { zoom = frame; draw(); });
    frame.g.addEventListener("mouseenter", () => {
      by_id("said").textContent = frame.said.join(": ");
    });
    frame.g.addEventListener("mouseleave", () => { by_id("said").textContent = " "; });
  }
  by_id("search").addEventListener("click", search);
  by_id("reset").addEventListener("click", reset);
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") reset();
    if (event.key === "/") { event.preventDefault(); search(); }
  });
})();
