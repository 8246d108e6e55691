"use strict";

const at = (id) => document.getElementById(id);
const figureLayout = addSlider(at("figure"));
const PERIOD = 300; // milliseconds between two questions
let options = { weights: [], forms: [], max_bytes: Infinity };

async function ask(address, wishes) {
  let answer;
  try {
    answer = await fetch(address, wishes);
  } catch {
    throw new Error("The page's program does not answer: is it still running?");
  }
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.error || `The answer was ${answer.status}`);
  return told;
}

async function start() {
  options = await ask("options");
  for (const name of options.weights) at("weights").add(new Option(name, name));
  for (const form of options.forms) at("format").add(new Option(form.toUpperCase(), form));
}

function say(text) {
  // Written only when it changes: it is read aloud.
  if (at("status").textContent !== text) at("status").textContent = text;
}

function show(told, address) {
  for (const kind of ["before", "after"]) {
    at(kind).setAttribute("width", told.width);
    at(kind).setAttribute("height", told.height);
    at(kind).src = `${address}/${kind}`;
  }
  at("download").href = `${address}/result`;
  at("download").download = told.name;
  at("facts").replaceChildren(
    ...Object.entries(told.facts).map(([name, value]) => {
      const line = document.createElement("div");
      line.append(document.createElement("dt"), document.createElement("dd"));
      line.firstChild.textContent = name;
      line.lastChild.textContent = value;
      return line;
    }),
  );
  at("done").hidden = false;
  figureLayout();
  at("title").focus();
}

function follow(told, since) {
  at("progress").value = told.progress;
  if (told.state === "waiting") return say(`Waiting: ${told.before} before it`);
  const quarter = Math.floor(told.progress * 4) * 25;
  const left = ((performance.now() - since) / 1000) * (1 / told.progress - 1);
  const rest = quarter && left > 5 ? `, about ${Math.ceil(left / 5) * 5} s left` : "";
  if (!quarter || !at("status").textContent.startsWith(`Enlarging: ${quarter} %`)) {
    say(quarter ? `Enlarging: ${quarter} %${rest}` : "Enlarging");
  }
}

async function enlarge(file) {
  if (file.size > options.max_bytes) {
    throw new Error(`${file.name}: has more than ${options.max_bytes / 1e6} MB, the limit here`);
  }
  const wishes = new URLSearchParams({
    name: file.name,
    weights: at("weights").value,
    scale: at("scale").value,
    format: at("format").value,
  });
  say("Sending");
  const { id } = await ask(`jobs?${wishes}`, { method: "POST", body: file });
  const address = `jobs/${encodeURIComponent(id)}`;
  let since = performance.now();
  for (;;) {
    const told = await ask(address);
    if (told.state === "failed") throw new Error(told.problem || "It was broken off");
    if (told.state === "done") return show(told, address);
    if (told.state === "waiting") since = performance.now();
    follow(told, since);
    await new Promise((wake) => setTimeout(wake, PERIOD));
  }
}

async function run(event) {
  event.preventDefault();
  at("problem").textContent = "";
  at("done").hidden = true;
  at("start").disabled = true;
  at("progress").hidden = false;
  at("progress").value = 0;
  try {
    await enlarge(at("file").files[0]);
    say("Done");
  } catch (error) {
    say("");
    at("problem").textContent = error.message;
  }
  at("start").disabled = false;
  at("progress").hidden = true;
}

at("form").addEventListener("submit", run);
for (const kind of ["dragover", "drop", "dragleave"]) {
  // On all of the page: beside the field, the browser would leave it for the picture.
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      const one = new DataTransfer();
      one.items.add(event.dataTransfer.files[0]);
      at("file").files = one.files;
      say(`${one.files[0].name} is chosen`);
      at("start").focus();
    }
  });
}
start().catch((error) => (at("problem").textContent = error.message));
