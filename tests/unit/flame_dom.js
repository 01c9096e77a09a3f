// Just enough of a document for the script of an SVG: reads {elements, script, steps} from standard
// input, runs the script, and prints what is drawn after each step.
"use strict";
class Element {
  constructor(tag, attributes = {}, children = [], text = "") {
    Object.assign(this, { tag, attributes, children, own: text, style: {}, listeners: {} });
    this.classes = new Set((attributes.class || "").split(" ").filter(Boolean));
    this.classList = {
      toggle: (name, on) => (on ? this.classes.add(name) : this.classes.delete(name)),
    };
  }
  get namespaceURI() { return "svg"; }
  get textContent() { return this.own; }
  set textContent(text) { this.own = text; }
  getAttribute(name) { return this.attributes[name] ?? null; }
  setAttribute(name, value) { this.attributes[name] = String(value); }
  appendChild(child) { this.children.push(child); }
  addEventListener(name, run) { this.listeners[name] = run; }
  all() { return [this, ...this.children.flatMap((child) => child.all())]; }
  querySelectorAll(selector) {
    const [tag, name] = selector.split(".");
    const fits = (e) => e.tag === tag && (!name || e.classes.has(name));
    return this.all().slice(1).filter(fits);
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
}

const build = (e) => new Element(e.tag, e.attributes, e.children.map(build), e.text);
const { elements, script, steps } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const root = build(elements);
const keys = {};
let answer = null;
globalThis.document = {
  documentElement: root,
  getElementById: (id) => root.all().find((e) => e.attributes.id === id),
  createElementNS: (_, tag) => new Element(tag),
};
globalThis.addEventListener = (name, run) => { keys[name] = run; };
globalThis.prompt = () => answer;
new Function(script)();

const frames = () => root.querySelectorAll("g.f");
const name = (g) => g.querySelector("title").textContent.split("\n")[0];
const drawn = () => ({
  frames: frames().filter((g) => g.style.display !== "none").map((g) => ({
    name: name(g),
    x: Number(g.querySelector("rect").getAttribute("x")),
    width: Number(g.querySelector("rect").getAttribute("width")),
    label: g.querySelector("text")?.textContent ?? "",
    classes: [...g.classes],
  })),
  matched: document.getElementById("matched").textContent,
  said: document.getElementById("said").textContent,
  reset: document.getElementById("reset").getAttribute("visibility"),
});
const key = (pressed) => keys.keydown({ key: pressed, preventDefault() {} });
const does = {
  click: (wanted) => frames().find((g) => name(g) === wanted).listeners.click(),
  hover: (wanted) => frames().find((g) => name(g) === wanted).listeners.mouseenter(),
  search: (text) => { answer = text; key("/"); },
  key,
};
console.log(JSON.stringify(steps.map(([what, argument]) => {
  does[what](argument);
  return drawn();
})));
