"use strict";
// One prompt, several arms, their answers side by side. Nothing that was sent or written is ever read as HTML.

const OWN = "your own";
const SERIES = ["#2a7fb8", "#c17f0e", "#2c9a6a", "#8456c9", "#b3568f", "#5f7d1c", "#1d8f9a", "#8a6d5b"];
const SHOWN_AT_FIRST = 3;
const SETTLE = 300; // milliseconds without a change, after which a dose is measured

const at = id => document.getElementById(id);
let token = sessionStorage.getItem("doxa-token") || "";
let study, arms = [], base, asking = null, measuring = null, timer = 0;

const named = new URLSearchParams(location.hash.slice(1)).get("token");
if (named !== null) {
  token = named;
  history.replaceState(null, "", location.pathname); // out of the address bar and of the history
}

function make(tag, text = "", parent = null, attributes = {}) {
  const node = document.createElement(tag);
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (parent) parent.append(node);
  return node;
}

function draw(tag, parent, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  parent.append(node);
  return node;
}

function alarm(words) {
  at("alert").textContent = words;
  at("alert").hidden = !words;
}

async function call(path, body, signal) {
  const answer = await fetch(path, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/json" } : {}) },
    body: body && JSON.stringify(body),
    signal,
  });
  if (!answer.ok) {
    const said = await answer.json().catch(() => null);
    const error = new Error(said?.error?.message || `The server answered ${answer.status}.`);
    error.status = answer.status;
    throw error;
  }
  return answer;
}

async function open() {
  alarm("");
  try {
    if (/[^!-~]/.test(token)) throw Object.assign(new Error("That is no token."), { status: 401 });
    if (!token) throw Object.assign(new Error(""), { status: 401 });
    study = await (await call("/v1/study")).json();
    arms = (await (await call("/v1/models")).json()).data;
  } catch (error) {
    at("desk").hidden = true;
    at("gate").hidden = error.status !== 401;
    if (!at("gate").hidden) at("token").focus();
    alarm(error.status === undefined ? "The server cannot be reached." : error.message);
    return;
  }
  sessionStorage.setItem("doxa-token", token);
  at("gate").hidden = true;
  at("desk").hidden = false;
  furnish();
}

function furnish() {
  document.title = `${study.study} · doxa`;
  at("study").textContent = `doxa · study ${study.study} · ${study.model}, ${study.dtype}`;
  at("question").textContent = study.question || study.study;
  base = arms.find(arm => arm.doxa.interventions.length === 0) || arms[0];
  at("arms").replaceChildren();
  const names = arms.map(arm => arm.id);
  if (study.vectors.length) names.push(OWN);
  names.forEach((name, index) => {
    const label = make("label", "", at("arms"));
    const box = make("input", "", label, { type: "checkbox", value: name });
    box.checked = index < SHOWN_AT_FIRST;
    box.addEventListener("change", rearrange);
    make("span", name, label);
    label.style.setProperty("--series", colour(name));
  });
  at("vector").replaceChildren();
  study.vectors.forEach((vector, index) => make("option", label(vector), at("vector"), { value: index }));
  for (const id of ["first", "last"]) at(id).max = study.n_layers - 1;
  at("last").value = Math.round((study.n_layers - 1) / 2);
  at("first").value = Math.max(0, at("last").value - 5);
  at("tokens").max = Math.min(512, study.context_length);
  rearrange();
  showNumbers();
  at("prompt").focus();
}

const label = vector => vector.from ? `${vector.name} from ${vector.from}` : vector.name;
const chosen = () => [...at("arms").querySelectorAll("input:checked")].map(box => box.value);
const colour = name => name === OWN ? "var(--accent)" : SERIES[arms.findIndex(arm => arm.id === name) % SERIES.length];

function rearrange() {
  const own = chosen().includes(OWN);
  if (own && at("own").hidden) {
    at("own").hidden = false;
    reshape();
  }
  at("own").hidden = !own;
  at("send").disabled = chosen().length === 0;
}

function showNumbers() {
  for (const id of ["temperature", "tokens"]) at(`${id}-shown`).textContent = at(id).value;
}

// ---- an arm of one's own, and its dose

function steer() {
  const vector = study.vectors[at("vector").value], first = Number(at("first").value), last = Number(at("last").value);
  return {
    vector: vector.from ? { name: vector.name, from: vector.from } : vector.name,
    layers: { block: { end: last, width: last - first + 1 } },
    strength: Number(at("strength").value),
    share: document.querySelector("input[name=share]:checked").value,
  };
}

function planned() {
  const { strength, share } = steer(), first = Number(at("first").value), last = Number(at("last").value);
  const each = share === "each" ? strength : strength / (last - first + 1);
  let sum = 0;
  return Array.from({ length: study.n_layers }, (_, layer) => {
    const here = layer >= first && layer <= last ? each : 0;
    sum += here;
    return { layer, planned: here, planned_cumulated: sum, measured_projection: null, measured_norm: null };
  });
}

function reshape(event) {
  if (Number(at("first").value) > Number(at("last").value)) {
    const [moved, other] = event?.target.id === "first" ? ["first", "last"] : ["last", "first"];
    at(other).value = at(moved).value;
  }
  const vector = study.vectors[at("vector").value];
  at("meaning").textContent = `+ means ${vector.positive}; − means ${vector.negative}`;
  for (const id of ["first", "last", "strength"]) at(`${id}-shown`).textContent = at(id).value;
  chart(planned());
  at("dose").textContent = "Measuring what arrives …";
  measuring?.abort();
  clearTimeout(timer);
  timer = setTimeout(measure, SETTLE);
}

async function measure() {
  const mine = measuring = new AbortController();
  try {
    const found = await (await call("/v1/dose", { steer: steer() }, mine.signal)).json();
    if (mine !== measuring) return;
    const rows = found.vectors[0].rows, last = rows[Number(at("last").value)];
    chart(rows);
    const share = value => value === null ? "nothing that can be measured" : value.toFixed(2);
    at("dose").textContent = `Planned at layer ${last.layer}: ${last.planned_cumulated.toFixed(2)} of the residual stream's norm. `
      + `Arrived: ${share(last.measured_projection)} along the vector, ${share(last.measured_norm)} in norm.`;
  } catch (error) {
    if (error.name !== "AbortError") at("dose").textContent = error.message;
  }
}

function chart(rows) {
  const narrow = matchMedia("(max-width: 52rem)").matches;
  const wide = narrow ? 360 : 680, high = narrow ? 230 : 300, left = 40, bottom = 34, top = 10, right = 8;
  const values = rows.flatMap(row => [row.planned, row.planned_cumulated, row.measured_projection, row.measured_norm])
    .filter(value => value !== null);
  const step = nice(Math.max(0.1, Math.max(...values) - Math.min(0, ...values)) / 4);
  const most = Math.max(step, Math.ceil(Math.max(...values) / step - 1e-9) * step);
  const least = Math.min(0, Math.floor(Math.min(...values) / step + 1e-9) * step);
  const room = (wide - left - right) / rows.length;
  const x = layer => left + room * (layer + 0.5);
  const y = value => top + (high - top - bottom) * (most - value) / (most - least);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Dose by layer: planned and measured, as fractions of the residual stream's norm");
  for (let value = least; value <= most + step / 2; value += step) {
    draw("line", svg, { class: Math.abs(value) < step / 2 ? "zero" : "grid", x1: left, x2: wide - right, y1: y(value), y2: y(value) });
    draw("text", svg, { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, (Math.abs(value) < 1e-9 ? 0 : value).toFixed(step < 0.1 ? 2 : 1));
  }
  const every = Math.max(1, Math.ceil(rows.length / (narrow ? 8 : 15)));
  for (const row of rows) {
    const upper = y(Math.max(0, row.planned)), lower = y(Math.min(0, row.planned));
    if (row.planned) draw("rect", svg, { class: "planned", x: x(row.layer) - room * 0.36, width: room * 0.72, y: upper, height: lower - upper });
    if (row.layer % every === 0) draw("text", svg, { x: x(row.layer), y: high - bottom + 16, "text-anchor": "middle" }, String(row.layer));
  }
  draw("text", svg, { x: (left + wide) / 2, y: high - 3, "text-anchor": "middle" }, "layer");
  for (const [name, key] of [["summed", "planned_cumulated"], ["norm", "measured_norm"], ["along", "measured_projection"]]) {
    const points = rows.filter(row => row[key] !== null).map(row => `${x(row.layer)},${y(row[key])}`);
    if (points.length) draw("polyline", svg, { class: name, points: points.join(" ") });
  }
  at("chart").replaceChildren(svg);
}

function nice(step) {
  const power = 10 ** Math.floor(Math.log10(step));
  return [1, 2, 5, 10].map(n => n * power).find(value => value >= step - 1e-12);
}

// ---- asking

function card(name) {
  const article = make("article", "", at("answers"));
  article.style.setProperty("--series", colour(name));
  make("h3", name, article);
  const state = make("p", "waits", article, { class: "muted" });
  const text = make("blockquote", "", article, { dir: "auto" });
  return { article, state, text };
}

async function one(name, body, signal) {
  const { article, state, text } = card(name);
  article.className = "writing";
  const began = performance.now();
  let usage = null, reason = "";
  try {
    const own = name === OWN ? { model: base.id, steer: steer() } : { model: name };
    const answer = await call("/v1/chat/completions", { ...body, ...own }, signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts.filter(part => part !== "data: [DONE]")) {
        const chunk = JSON.parse(part.slice("data: ".length));
        if (chunk.error) throw new Error(chunk.error.message);
        state.textContent = "writes";
        text.append(chunk.choices[0]?.delta.content || "");
        reason = chunk.choices[0]?.finish_reason || reason;
        usage = chunk.usage || usage;
      }
    }
    if (!usage) throw new Error("The server ended in mid-sentence.");
    const seconds = (performance.now() - began) / 1000;
    state.textContent = `${usage.completion_tokens} tokens, ${seconds.toFixed(1)} s${reason === "length" ? ", cut" : ""}`;
    article.className = "done";
  } catch (error) {
    article.className = error.name === "AbortError" ? "done" : "failed";
    state.textContent = error.name === "AbortError" ? "stopped" : "failed";
    if (error.name !== "AbortError") make("p", error.message, text);
  }
}

async function ask(event) {
  event.preventDefault();
  const prompt = at("prompt").value;
  if (!prompt.trim() || asking) return;
  alarm("");
  asking = new AbortController();
  at("send").hidden = true;
  at("stop").hidden = false;
  at("answers").replaceChildren();
  const body = {
    messages: [{ role: "user", content: prompt }],
    max_tokens: Number(at("tokens").value),
    temperature: Number(at("temperature").value),
    seed: Math.max(0, Math.trunc(Number(at("seed").value)) || 0),
    stream: true,
    stream_options: { include_usage: true },
  };
  await Promise.all(chosen().map(name => one(name, body, asking.signal)));
  asking = null;
  at("send").hidden = false;
  at("stop").hidden = true;
}

at("gate").addEventListener("submit", event => { event.preventDefault(); token = at("token").value.trim(); open(); });
at("ask").addEventListener("submit", ask);
at("prompt").addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("ask").requestSubmit();
});
at("stop").addEventListener("click", () => asking?.abort());
at("reseed").addEventListener("click", () => { at("seed").value = crypto.getRandomValues(new Uint32Array(1))[0] >>> 1; });
for (const id of ["temperature", "tokens"]) at(id).addEventListener("input", showNumbers);
for (const id of ["vector", "first", "last", "strength"]) at(id).addEventListener("input", reshape);
for (const radio of document.getElementsByName("share")) radio.addEventListener("change", reshape);
open();
