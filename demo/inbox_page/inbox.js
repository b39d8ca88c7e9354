// Shows what the inbox received, newest first. All of it is hostile text: it becomes text nodes, never HTML; the HTML of an
// email is shown in a frame that may run nothing.
"use strict";

const EMOJI = {
  rotating_light: "🚨", warning: "⚠️", white_check_mark: "✅", test_tube: "🧪", bell: "🔔", x: "❌",
  hourglass: "⌛", mag: "🔍", books: "📚", red_circle: "🔴", large_green_circle: "🟢",
};

function el(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function unescaped(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

function emojis(text) {
  return text.replace(/:([a-z_]+):/g, (whole, name) => EMOJI[name] ?? whole);
}

function link(url, label) {
  if (!/^(https?:\/\/|mailto:)/i.test(url)) return el("span", "", label);
  const anchor = el("a", "", label);
  anchor.href = url;
  anchor.target = "_blank";
  anchor.rel = "noreferrer noopener";
  return anchor;
}

// <https://x|label>, <!channel>, <@U1>, <!date^...|fallback>
function angle(inside) {
  const [target, label] = inside.split(/\|(.*)/s);
  if (/^!(channel|here|everyone)/.test(target)) return el("span", "mention", "@" + target.slice(1));
  if (/^[@#]/.test(target)) return el("span", "mention", unescaped(label ?? target));
  if (target.startsWith("!")) return el("span", "", unescaped(label ?? target));
  return link(unescaped(target), unescaped(label ?? target));
}

const SPANS = [
  [/```([\s\S]+?)```/, (found) => el("pre", "", unescaped(found[1].replace(/^\n/, "")))],
  [/`([^`\n]+)`/, (found) => el("code", "", unescaped(found[1]))],
  [/<([^<>]+)>/, (found) => angle(found[1])],
  [/(?<![\w*])\*(?=\S)([^*\n]*[^*\s])\*(?![\w*])/, (found) => el("b", "", ...mrkdwn(found[1]))],
  [/(?<![\w_])_(?=\S)([^_\n]*[^_\s])_(?![\w_])/, (found) => el("i", "", ...mrkdwn(found[1]))],
  [/(?<![\w~])~(?=\S)([^~\n]*[^~\s])~(?![\w~])/, (found) => el("s", "", ...mrkdwn(found[1]))],
  [/^&gt; ?(.*)$/m, (found) => el("blockquote", "", ...mrkdwn(found[1]))],
];

// Slack's text markup as nodes: the earliest span first, then what is left of it and right of it.
function mrkdwn(text) {
  let first = null;
  for (const [pattern, make] of SPANS) {
    const found = pattern.exec(text);
    if (found && (!first || found.index < first.found.index)) first = { found, make };
  }
  if (!first) return lines(emojis(unescaped(text)));
  const { found, make } = first;
  return [
    ...lines(emojis(unescaped(text.slice(0, found.index)))),
    make(found),
    ...mrkdwn(text.slice(found.index + found[0].length)),
  ];
}

function lines(text) {
  return text.split("\n").flatMap((line, at) => (at ? [el("br", ""), line] : [line]));
}

function words(object) {
  const text = String(object?.text ?? "");
  return object?.type === "mrkdwn" ? mrkdwn(text) : lines(emojis(text));
}

function button(element) {
  const node = element.url ? link(String(element.url), "") : el("span", "");
  node.append(...words(element.text));
  if (element.style === "primary" || element.style === "danger") node.classList.add(element.style);
  return node;
}

const BLOCKS = {
  header: (block) => el("div", "block header", ...words(block.text)),
  section: (block) => el("div", "block",
    block.text ? el("div", "", ...words(block.text)) : null,
    block.fields ? el("div", "fields", ...block.fields.map((field) => el("div", "", ...words(field)))) : null),
  actions: (block) => el("div", "buttons", ...block.elements.map(button)),
  context: (block) => el("div", "block context", ...block.elements.flatMap((part) => [...words(part), " "])),
  divider: () => el("hr", ""),
};

function meta(message) {
  const when = el("time", "", new Date(message.received * 1000).toLocaleTimeString());
  when.dateTime = message.received_at;
  when.title = message.received_at;
  const after = message.seconds === null ? null : el("span", "after", `${readable(message.seconds)} after it happened`);
  return [when, after];
}

function readable(seconds) {
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`;
  if (seconds < 120) return `${seconds.toFixed(1)} s`;
  return `${(seconds / 60).toFixed(0)} min`;
}

function slack(message) {
  const { payload } = message;
  const blocks = Array.isArray(payload.blocks) && payload.blocks.length
    ? payload.blocks.map((block) => (BLOCKS[block.type] ?? (() => el("div", "block", `[${block.type}]`)))(block))
    : [el("div", "block", ...mrkdwn(String(payload.text ?? "")))];
  return el("li", "slack", el("div", "avatar", "J"),
    el("div", "", el("div", "who", el("b", "", "Jobmon"), el("span", "app", "APP"), ...meta(message)), ...blocks));
}

function frame(message) {
  const node = document.createElement("iframe");
  node.setAttribute("sandbox", "allow-same-origin allow-popups allow-popups-to-escape-sandbox");
  node.title = "the email as HTML";
  node.addEventListener("load", () => {
    node.style.height = "0";  // a document is never less high than its frame
    const height = node.contentDocument?.documentElement?.scrollHeight ?? 320;
    node.style.height = `${Math.min(Math.max(height + 2, 80), 1400)}px`;
  });
  node.src = `/email/${message.id}`;
  return node;
}

function email(message) {
  const parts = {
    HTML: message.html === null ? null : () => frame(message),
    Text: message.text === null ? null : () => el("pre", "", message.text),
    Headers: () => el("table", "", ...message.headers.map(([name, value]) => el("tr", "", el("th", "", name), el("td", "", value)))),
  };
  const body = el("div", "");
  const tabs = el("div", "tabs");
  tabs.setAttribute("role", "tablist");
  for (const [name, make] of Object.entries(parts)) {
    if (!make) continue;
    const tab = el("button", "", name);
    tab.type = "button";
    tab.setAttribute("role", "tab");
    tab.addEventListener("click", () => {
      for (const other of tabs.children) other.setAttribute("aria-selected", String(other === tab));
      body.replaceChildren(make());
    });
    tabs.append(tab);
  }
  tabs.firstElementChild.click();
  return el("li", "mail",
    el("div", "mail-top", el("span", "people", message.from || "(no sender)"), ...meta(message), el("p", "subject", message.subject || "(no subject)")),
    el("p", "people", `to ${message.recipients.join(", ")}`), tabs, body);
}

const SHOW = { slack, email };
const counts = { slack: 0, email: 0 };
const unread = document.title;
let last = 0;

function show(message) {
  const list = document.getElementById(message.sink);
  let item;
  try {
    item = SHOW[message.sink](message);
  } catch (error) {
    item = el("li", "", el("pre", "", `This message could not be drawn (${error}):\n${JSON.stringify(message, null, 1)}`));
  }
  item.classList.add("new");
  list.querySelector(".empty")?.remove();
  list.prepend(item);
  counts[message.sink] += 1;
  document.getElementById(`${message.sink}-count`).textContent = String(counts[message.sink]);
  document.title = `(${counts.slack + counts.email}) ${unread}`;
}

function live(className, text) {
  const node = document.getElementById("live");
  node.className = `live ${className}`;
  node.textContent = text;
}

async function poll() {
  try {
    const answer = await fetch(`/api/received?after=${last}`, { cache: "no-store" });
    const { received } = await answer.json();
    for (const message of received) {
      last = message.id;
      show(message);
    }
    live("on", "live");
  } catch {
    live("off", "the demo has stopped; this is what had arrived");
  }
  setTimeout(poll, document.hidden ? 2000 : 500);
}

poll();
