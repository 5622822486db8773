"use strict";
// Every value is set as text, never as markup: user ids and attribute values come from outside.
const POLL_MS = 1000, HISTORY = 120, SHOWN_REASONS = 6;
const BANDS = ["high", "medium", "low"];
const byId = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const figure = new Intl.NumberFormat("en", { maximumFractionDigits: 2 });
const share = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2, signDisplay: "exceptZero" });
const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const past = { events: [], scores: [] };

function make(tag, options = {}, ...children) {
  const { text, className, ...rest } = options;
  const node = Object.assign(document.createElement(tag), rest);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  node.append(...children);
  return node;
}

const rate = (value) => (value === null ? "–" : (value < 10 ? fine : whole).format(value));

function milliseconds(value) {
  if (value === null) return "–";
  return value < 1000 ? `${whole.format(value)}\u00a0ms` : `${fine.format(value / 1000)}\u00a0s`;
}

function age(seconds) {
  if (seconds === null) return "never";
  if (seconds < 0) return "just now";
  const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
  const [name, size] = units.find(([, length]) => seconds >= length) ?? units[3];
  const count = Math.floor(seconds / size);
  return `${count} ${name}${count === 1 ? "" : "s"} ago`;
}

function spark(name, value) {
  const values = past[name];
  values.push(value ?? 0);
  if (values.length > HISTORY) values.shift();
  const top = Math.max(...values, 1);
  const points = values.map((v, i) => `${i + HISTORY - values.length},${(27 - (26 * v) / top).toFixed(1)}`);
  byId(`${name}-spark`).firstElementChild.setAttribute("points", points.join(" "));
}

function showState(health) {
  const words = { ok: "ready", degraded: "ready, with warnings", down: "not ready" };
  setState(health.status, words[health.status], [...health.readiness.reasons, ...health.readiness.warnings]);
}

function setState(state, words, notes) {
  byId("state").dataset.state = state;
  if (byId("state-text").textContent !== words) byId("state-text").textContent = words;
  byId("notes").hidden = notes.length === 0;
  byId("notes").replaceChildren(...notes.map((text) => make("li", { text })));
}

function showModel(model) {
  byId("model").textContent = model
    ? `Model ${model.name}, version ${model.version}, champion since ${model.promoted_at.slice(0, 16).replace("T", " ")} UTC${challenged(model.challengers)}`
    : "no model serves yet";
}

function challenged(challengers) {
  const told = challengers.map(({ version, share }) => `version ${version} ${share ? `for ${percent.format(share)} of the users` : "in shadow"}`);
  return told.length ? `, challenged by ${told.join(", ")}` : "";
}

function showNumbers(pulse) {
  byId("events").textContent = rate(pulse.events_per_second);
  byId("scores").textContent = rate(pulse.scores_per_second);
  byId("p50").textContent = milliseconds(pulse.freshness_p50_ms);
  byId("p99").textContent = milliseconds(pulse.freshness_p99_ms);
  byId("users").textContent = whole.format(pulse.users);
  if (!pulse.users_complete) byId("users-note").textContent = "the most this page counts; there are more";
  spark("events", pulse.events_per_second);
  spark("scores", pulse.scores_per_second);
}

function showBands(pulse) {
  for (const band of BANDS) {
    const count = pulse.users_by_band[band] ?? 0;
    byId(`bar-${band}`).style.flexGrow = count;
    byId(`count-${band}`).textContent = whole.format(count);
    byId(`share-${band}`).textContent = pulse.users ? percent.format(count / pulse.users) : "";
  }
}

function whyItem(reason) {
  const up = reason.contribution > 0;
  const mark = make("span", { className: up ? "mark up" : "mark down", text: up ? "↑" : "↓", title: up ? "raises the risk" : "lowers the risk" });
  return make("li", {}, mark, ` ${reason.text}`);
}

function riskRow(user) {
  const name = make("button", { type: "button", className: "name", text: user.user_id });
  name.dataset.user = user.user_id;
  return make("tr", {}, make("td", {}, name), make("td", { className: "number", text: percent.format(user.probability) }), make("td", {}, make("ul", { className: "why" }, ...user.reasons.map(whyItem))));
}

function showRiskiest(users) {
  const table = byId("riskiest");
  // A table that changes under the pointer or the keyboard's focus cannot be used: it waits until it is left.
  if (table.matches(":hover") || table.contains(document.activeElement)) return;
  table.hidden = users.length === 0;
  byId("riskiest-empty").hidden = users.length > 0;
  table.tBodies[0].replaceChildren(...users.map(riskRow));
}

async function poll() {
  try {
    const answer = await fetch("/live-data", { cache: "no-store" });
    if (!answer.ok) throw new Error(`the server answers with status ${answer.status}`);
    const data = await answer.json();
    showState(data.health);
    showModel(data.model);
    showNumbers(data.pulse);
    showBands(data.pulse);
    showRiskiest(data.pulse.riskiest);
  } catch (error) {
    setState("down", "no connection", [`The server cannot be reached (${error.message}); trying again each second.`]);
  }
  setTimeout(poll, POLL_MS);
}

function reasonItem(reason, largest) {
  const up = reason.contribution > 0;
  const push = make("span", { className: `push ${up ? "up" : "down"}` });
  push.style.width = `${Math.max((100 * Math.abs(reason.contribution)) / largest, 1)}%`;
  return make("li", {}, make("span", { text: reason.text }), make("span", { className: "quiet", text: ` – ${up ? "raises" : "lowers"} the risk, ${share.format(reason.contribution)}` }), push);
}

const sum = (reasons) => reasons.reduce((total, reason) => total + reason.contribution, 0);

function account(user, strongest) {
  const told = user.explanation;
  if (!told) return [];
  const shown = sum(strongest), all = sum(user.reasons) + told.others, rest = user.reasons.length - strongest.length;
  const parts = `average user ${share.format(told.base)}, reasons above ${share.format(shown)}, ${rest} others ${share.format(all - shown)}`;
  return [make("p", { className: "quiet account", text: `In log-odds: ${parts}; together ${share.format(told.base + all)}, which is ${percent.format(told.probability)} by version ${told.model_version}.` })];
}

function featureTable(user) {
  const shares = Object.fromEntries(user.reasons.map((reason) => [reason.feature, share.format(reason.contribution)]));
  const rows = Object.entries(user.features).map(([name, value]) =>
    make("tr", {}, make("td", { text: name }), make("td", { className: "number", text: value === null ? "missing" : figure.format(value) }), make("td", { className: "number", text: shares[name] ?? "" })));
  const head = make("tr", {}, make("th", { text: "Feature" }), make("th", { className: "number", text: "Value" }), make("th", { className: "number", text: "Log-odds" }));
  return make("details", {}, make("summary", { text: `All ${rows.length} features` }), make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows)));
}

function verdict(score) {
  if (!score) return make("p", { className: "quiet", text: "Not scored yet." });
  return make("p", { className: "verdict" }, make("span", { className: "big", text: percent.format(score.probability) }), make("span", { className: `tag ${score.band}`, text: `${score.band} risk` }));
}

function showUser(user) {
  const strongest = user.reasons.slice(0, SHOWN_REASONS);
  const largest = Math.max(...strongest.map((reason) => Math.abs(reason.contribution)), 1e-9);
  const freshness = `Features as of ${age(user.freshness.features_age_seconds)}, score as of ${age(user.freshness.score_age_seconds)}.`;
  byId("answer").replaceChildren(
    make("h3", { text: user.user_id }), verdict(user.score), make("p", { className: "quiet", text: freshness }),
    ...(user.active ? [] : [make("p", { className: "quiet", text: "Not among the active users: silent for longer than the horizon, or known to be gone." })]),
    make("ul", { className: "reasons" }, ...strongest.map((reason) => reasonItem(reason, largest))),
    ...account(user, strongest), featureTable(user));
}

const showProblem = (text) => byId("answer").replaceChildren(make("p", { className: "problem", text }));

let asked = 0;
async function look(userId) {
  const mine = ++asked;
  byId("user-id").value = userId;
  try {
    const answer = await fetch(`/users/${encodeURIComponent(userId)}?reasons=all`, { cache: "no-store" });
    const body = await answer.json();
    if (mine !== asked) return; // a later look-up has been asked for meanwhile
    if (answer.ok) showUser(body);
    else showProblem(body.message);
  } catch (error) {
    if (mine === asked) showProblem(`The server cannot be reached (${error.message}).`);
  }
}

byId("lookup").addEventListener("submit", (event) => {
  event.preventDefault();
  look(byId("user-id").value.trim());
});
byId("riskiest").addEventListener("click", (event) => {
  const user = event.target.dataset.user;
  if (user !== undefined) look(user).then(() => byId("user-id").focus());
});
poll();
