"use strict";
// The page works without this. It takes on Airflow's theme, filters while one types, refreshes itself each minute,
// copies commands, and shows moments in the reader's own time zone.
(() => {
  const root = document.documentElement;
  const REFRESH = 60_000;
  const LENT = [
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

  const kept = (key) => {
    try {
      return localStorage.getItem(key);
    } catch {
      return null;
    }
  };

  const dress = () => {
    const theme = airflow ? (airflow.classList.contains("dark") ? "dark" : "light") : kept("theme");
    root.classList.toggle("dark", theme === "dark");
    root.classList.toggle("light", theme === "light");
    if (!airflow) return;
    const lent = getComputedStyle(airflow);
    for (const name of LENT) root.style.setProperty(name, lent.getPropertyValue(name));
  };

  root.classList.add("scripted");
  root.classList.toggle("framed", airflow !== null);
  dress();
  if (airflow) new MutationObserver(dress).observe(airflow, { attributes: true, attributeFilter: ["class", "style"] });
  else addEventListener("storage", dress);

  let asked = 0;

  const show = async (address, { quiet }) => {
    const mine = ++asked;
    const main = document.getElementById("main");
    if (!quiet) main.setAttribute("aria-busy", "true");
    let trouble = "";
    try {
      const answer = await fetch(address, { headers: { Accept: "text/html" }, redirect: "manual" });
      const text = await answer.text();
      if (mine !== asked) return; // something newer was asked for meanwhile
      if (answer.ok) replace(new DOMParser().parseFromString(text, "text/html"));
      else trouble = answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403
        ? "you are signed out; load the page again" : "the log cannot be read; it is tried again each minute";
    } catch {
      trouble = "Airflow does not answer; it is tried again each minute";
    }
    if (mine !== asked) return;
    main.removeAttribute("aria-busy");
    const lost = document.getElementById("lost");
    lost.hidden = trouble === "";
    const since = document.getElementById("fresh").textContent.split("·")[0].trim();
    lost.textContent = trouble && `What is shown is as of ${since}: ${trouble}.`;
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
    } catch { // without TLS there is no clipboard to write to
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
    if (outward && airflow) { // Airflow's frame lets nothing of ours open a window; Airflow's own document may
      event.preventDefault();
      const link = window.parent.document.createElement("a");
      Object.assign(link, { href: outward.href, target: "_blank", rel: "noopener noreferrer" });
      link.click();
    }
  });

  const zone = () => {
    try {
      return JSON.parse(kept("timezone")) || undefined; // the one picked in Airflow
    } catch {
      return kept("timezone") || undefined;
    }
  };

  document.addEventListener("pointerover", (event) => {
    const time = event.target.closest?.("time");
    if (!time) return;
    try {
      time.title = new Date(time.dateTime).toLocaleString(undefined, { timeZone: zone(), dateStyle: "medium", timeStyle: "long" });
    } catch { // a zone that this browser does not know: the title stays in UTC
    }
  });
})();
