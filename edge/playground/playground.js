import { readEvents } from "./events.js";
import { SliderPanel } from "./sliders.js";

const element = (id) => document.getElementById(id);
const [ask, prompt, send, stop] = ["ask", "prompt", "send", "stop"].map(element);
const [answer, echo, error, model] = ["answer", "echo", "error", "model"].map(element);
const [unlock, keyField, attributes, reset] = ["unlock", "key", "attributes", "reset"].map(element);

const KEY_ITEM = "attune-key";
const sliders = new SliderPanel(attributes);

/** The generation on its way, or null. */
let running = null;

/** Settles once models and sliders are there, or an error says why not. */
let connected = connect();

/** Takes the key out of the address, so that it is not shared by accident, and keeps it for reloads of this tab. */
function takeKeyFromAddress() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (key === null) return;
  sessionStorage.setItem(KEY_ITEM, key);
  history.replaceState(null, "", location.pathname + location.search);
}

function showError(message) {
  error.textContent = message;
  error.hidden = message === "";
}

/** Calls the API with the key; what it refuses becomes an error with its own words. */
async function call(path, init = {}) {
  const headers = { authorization: `Bearer ${sessionStorage.getItem(KEY_ITEM) ?? ""}` };
  if (init.body !== undefined) headers["content-type"] = "application/json";
  const response = await fetch(path, { ...init, headers });
  if (response.ok) return response;
  if (response.status === 401) unlock.hidden = false;
  const body = await response.json().catch(() => null);
  throw new Error(body?.error?.message ?? `The server answered ${response.status}.`);
}

/** Fills in models and sliders; without a working key, asks for one. */
async function connect() {
  takeKeyFromAddress();
  showError("");
  if (sessionStorage.getItem(KEY_ITEM) === null) {
    unlock.hidden = false;
    return;
  }
  try {
    const lists = await Promise.all(["/v1/models", "/v1/attributes"].map(async (path) => (await call(path)).json()));
    const [models, descriptions] = lists.map((list) => list.data);
    model.replaceChildren(...models.map(({ id }) => new Option(id, id)));
    model.disabled = false;
    sliders.build(descriptions);
    sliders.showDefaults(model.value);
    attributes.hidden = false;
    reset.hidden = false;
    unlock.hidden = true;
  } catch (thrown) {
    showError(thrown.message);
  }
}

function addRow(term, text) {
  const [name, value] = [document.createElement("dt"), document.createElement("dd")];
  name.textContent = term;
  value.textContent = text;
  echo.append(name, value);
}

const METHODS = { label_line: "trained attributes", words: "instruction in words", none: "not steered" };
const REASONS = {
  preset_min: "the preset's minimum",
  preset_max: "the preset's maximum",
  preset_locked: "locked",
  key_min: "the key's minimum",
  key_max: "the key's maximum",
  key_locked: "locked by the key",
};

function showSteering({ effective, method, clamped, not_trained, note }) {
  const levels = Object.entries(effective).map(([name, level]) => `${name} ${level}`);
  addRow("Steered by", METHODS[method] ?? method);
  if (levels.length > 0) addRow("Levels", levels.join(", "));
  for (const { attribute, requested, applied, reason } of clamped) {
    addRow("Clamped", `${attribute} ${requested ?? "left out"} → ${applied} (${REASONS[reason] ?? reason})`);
  }
  if (not_trained.length > 0) addRow("Not trained", not_trained.join(", "));
  if (note !== null) addRow("Note", note);
}

/** Whether there is a model to ask; tries once more where it failed before, as while the server was starting. */
async function isConnected() {
  await connected;
  if (model.value !== "") return true;
  connected = connect();
  await connected;
  if (model.value === "" && error.hidden) showError("Enter your API key first.");
  return model.value !== "";
}

/** Streams one answer into the page. */
async function generate(signal) {
  const body = JSON.stringify({
    model: model.value,
    messages: [{ role: "user", content: prompt.value }],
    steer: { attributes: sliders.levels() },
    stream: true,
    stream_options: { include_usage: true },
  });
  const response = await call("/v1/chat/completions", { method: "POST", body, signal });
  for await (const chunk of readEvents(response.body)) {
    if (chunk.error) throw new Error(chunk.error.message);
    answer.append(chunk.choices?.[0]?.delta?.content ?? "");
    if (chunk.steer) showSteering(chunk.steer);
    if (chunk.usage) addRow("Tokens", `${chunk.usage.prompt_tokens} in, ${chunk.usage.completion_tokens} out`);
    echo.hidden = echo.childElementCount === 0;
  }
}

async function start() {
  if (running !== null || prompt.value.trim() === "") return;
  running = new AbortController();
  showError("");
  answer.replaceChildren();
  echo.replaceChildren();
  echo.hidden = true;
  answer.ariaBusy = "true";
  send.disabled = true;
  stop.disabled = false;
  try {
    if (await isConnected()) await generate(running.signal);
  } catch (thrown) {
    if (thrown.name !== "AbortError") showError(thrown.message);
  } finally {
    running = null;
    answer.ariaBusy = "false";
    send.disabled = false;
    stop.disabled = true;
  }
}

ask.addEventListener("submit", (event) => {
  event.preventDefault();
  start();
});
prompt.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  start();
});
stop.addEventListener("click", () => running?.abort());
reset.addEventListener("click", () => sliders.reset());
model.addEventListener("change", () => sliders.showDefaults(model.value));
unlock.addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY_ITEM, keyField.value.trim());
  keyField.value = "";
  connected = connect();
});
addEventListener("hashchange", () => {
  connected = connect();
});
