"use strict";
// The page works without this script. It follows Airflow's theme, filters while you type, refreshes every minute,
// copies commands, and shows times in the reader's time zone.
(() => {
  const root = document.documentElement;
  const REFRESH = 60_000;
  const THEME_VARIABLES = [
    "--chakra-colors-bg", "--chakra-colors-fg", "--chakra-colors-fg-muted",
    "--chakra-colors-border", "--chakra-colors-border-emphasized", "--chakra-fonts-body", "--chakra-fonts-mono",
  ];

  const airflow = (() => {
    try {
      return window.parent === window ? null : window.parent.document.documentElement;
    } catch {
      return null; // framed by another site, which the headers forbid
    }
  })();

  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };

  const applyTheme = () => {
    const theme = airflow ? (airflow.classList.contains("dark") ? "dark" : "light") : stored("theme");
    root.classList.toggle("dark", theme === "dark");
    root.classList.toggle("light", theme === "light");
    if (!airflow) return;
    const theirs = getComputedStyle(airflow);
    for (const name of THEME_VARIABLES) root.style.setProperty(name, theirs.getPropertyValue(name));
  };

  root.classList.add("scripted");
  root.classList.toggle("framed", airflow !== null);
  applyTheme();
  if (airflow) new MutationObserver(applyTheme).observe(airflow, { attributes: true, attributeFilter: ["class", "style"] });
  else addEventListener("storage", applyTheme);

  let asked = 0;

  const show = async (address, { quiet }) => {
    const mine = ++asked;
    const main = document.getElementById("main");
    if (!quiet) main.setAttribute("aria-busy", "true");
    let problem = "";
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "manual" });
      const text = await answer.text();
      if (mine !== asked) return; // a newer request was made meanwhile
      if (answer.ok) replace(new DOMParser().parseFromString(text, "text/html"));
      else problem = answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403
        ? "you are signed out; load the page again" : "the job log cannot be read; retrying every minute";
    } catch {
      problem = "Airflow does not respond; retrying every minute";
    }
    if (mine !== asked) return;
    main.removeAttribute("aria-busy");
    const notice = document.getElementById("notice");
    notice.hidden = problem === "";
    const since = document.getElementById("fresh").textContent.split("·")[0].trim();
    notice.textContent = problem && `Last updated ${since}: ${problem}.`;
  };

  const replace = (next) => {
    const open = [...document.querySelectorAll("details[open]")].map((one) => one.id);
    const focused = document.activeElement?.closest("[data-live] a")?.getAttribute("href");
    for (const part of document.querySelectorAll("[data-live]")) {
      const other = next.getElementById(part.id);
      if (other) part.replaceWith(document.adoptNode(other));
    }
    document.title = next.title;
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) document.querySelector(`[data-live] a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  };

  const isBeingRead = () => document.hidden || !getSelection().isCollapsed ||
    document.activeElement?.matches("summary, .copy");

  document.addEventListener("DOMContentLoaded", () => {
    if (document.querySelector("[data-live][id]:not(#fresh)")) {
      setInterval(() => isBeingRead() || show(location.href, { quiet: true }), REFRESH);
    }

    const form = document.querySelector("form.filter");
    if (!form) return;
    let waiting = 0;
    const filter = () => {
      clearTimeout(waiting);
      const given = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
      const address = given.size ? `?${given}` : "./";
      history.replaceState(null, "", address);
      show(address, { quiet: false });
    };
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(filter, 200);
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      filter();
    });
  });

  const copy = async (button) => {
    const code = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch { // without TLS there is no clipboard API
      getSelection().selectAllChildren(code);
      document.execCommand("copy");
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest(".copy");
    if (button) copy(button);
    const outward = event.target.closest("a[target=_blank]");
    if (outward && airflow) { // Airflow's frame blocks new windows of ours; Airflow's own document may open them
      event.preventDefault();
      const link = window.parent.document.createElement("a");
      Object.assign(link, { href: outward.href, target: "_blank", rel: "noopener noreferrer" });
      link.click();
    }
  });

  const zone = () => {
    try {
      return JSON.parse(stored("timezone")) || undefined; // the zone chosen in Airflow
    } catch {
      return stored("timezone") || undefined;
    }
  };

  document.addEventListener("pointerover", (event) => {
    const time = event.target.closest?.("time");
    if (!time) return;
    try {
      time.title = new Date(time.dateTime).toLocaleString(undefined, { timeZone: zone(), dateStyle: "medium", timeStyle: "long" });
    } catch { // the browser does not know this zone: the title stays in UTC
    }
  });
})();
