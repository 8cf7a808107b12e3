// What pages do a little quicker with a script: keys, toasts that go away, focus. Nothing works only because of it.
"use strict";

(() => {
  // The reader's time zone, so that the server can write times in it.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone) document.cookie = `tz=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Lax`;
  document.documentElement.classList.add("js");

  // Toasts stay for 8 seconds, and while somebody points at them or is in them.
  const TOAST_MS = 8000;
  const retire = (toast) => {
    const busy = () => toast.matches(":hover, :focus-within");
    const leave = () => (busy() ? setTimeout(leave, 1000) : toast.remove());
    setTimeout(leave, TOAST_MS);
  };
  // What stands in its region when the page comes is not read out; what changes there afterwards is.
  const HEARD_MS = 300;
  const toasts = document.getElementById("toasts");
  if (toasts) {
    toasts.querySelectorAll(".toast").forEach(retire);
    addEventListener("load", () => setTimeout(() => toasts.querySelectorAll(".toast > span").forEach((words) => words.replaceChildren(words.textContent)), HEARD_MS));
    new MutationObserver((changes) => changes.forEach((change) => change.addedNodes.forEach((node) => node instanceof HTMLElement && retire(node)))).observe(toasts, { childList: true });
  }

  // A summary of faults takes the focus, when the page comes and when a part of it does.
  const focusFault = (root) => root.querySelector("[data-focus]")?.focus();
  focusFault(document);
  document.addEventListener("htmx:afterSwap", (event) => focusFault(event.detail.target ?? document));
  // What is pressed by a key may come anew by that: the focus is not lost, it goes to what stands in its place.
  const held = new WeakSet();
  document.addEventListener("htmx:beforeRequest", ({ detail }) => { if (detail.target.contains(document.activeElement)) held.add(detail.xhr); });
  document.addEventListener("htmx:afterSettle", ({ detail, target }) => {
    if (held.has(detail.xhr) && document.activeElement === document.body) target.querySelector("[data-again]")?.focus();
  });
  // What is being typed into a part that comes anew meanwhile stays, if the answer is to a question that did not hold it yet.
  const unasked = new WeakMap();
  let going = null;
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const field = document.activeElement;
    if (!field?.id || !detail.target.contains(field) || !field.matches("input[type=text], input[type=number], textarea")) return;
    // As it goes, the browser says that it was changed.
    going = field;
    queueMicrotask(() => { going = null; });
    if (field.value !== field.defaultValue && !detail.requestConfig.formData.getAll(field.name).includes(field.value)) unasked.set(detail.xhr, field);
  });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const field = unasked.get(detail.xhr);
    const now = field && document.getElementById(field.id);
    if (!now || now === field) return;
    unasked.delete(detail.xhr);
    now.value = field.value;
    // To the browser nobody has typed it here, so it would not tell that it was changed.
    now.addEventListener("blur", () => { if (now.value === field.value) now.dispatchEvent(new Event("change", { bubbles: true })); }, { once: true });
  });
  // Where "Check in" was stands "Undo" in a moment: the second press of two quick ones, or of a key that is held down, was not meant for it.
  const came = new WeakMap();
  // Not so what a search brings: that may be pressed at once.
  document.addEventListener("htmx:afterSettle", ({ detail, target }) => {
    if (detail.requestConfig?.elt.matches("form.check")) target.querySelectorAll("form.check").forEach((form) => came.set(form, performance.now()));
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    const form = event.detail.elt;
    if (!(performance.now() - came.get(form) < 700)) return;
    came.set(form, performance.now());
    event.preventDefault();
  });
  // What could not be loaded says so where it would have been.
  document.addEventListener("htmx:responseError", (event) => {
    const part = event.detail.xhr.responseText;
    if (toasts && part.startsWith("<div class=\"notice")) toasts.insertAdjacentHTML("beforeend", part);
  });
  document.addEventListener("htmx:sendError", () => {
    if (!toasts) return;
    const notice = document.createElement("div");
    notice.className = "notice bad";
    notice.textContent = "The server cannot be reached. Nothing was changed; try again.";
    toasts.append(notice);
  });

  // Dialogs: what opens gets the focus on its first field, and gives it back to where it came from.
  let opener = null;
  document.addEventListener("beforetoggle", (event) => { if (event.newState === "open") opener = document.activeElement; }, true);
  document.addEventListener("toggle", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLElement) || !box.matches("[popover]")) return;
    if (event.newState === "open") (box.querySelector("[autofocus], input:not([type=hidden]), select, textarea") ?? box.querySelector("button, a"))?.focus();
    else if (box.contains(document.activeElement) || document.activeElement === document.body) opener?.focus();
  }, true);

  // A form is sent once, however often its button is pressed. Coming back by the back button makes it usable again.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    // What goes into a frame, or comes as a file, leaves the page as it is.
    if (form.method !== "post" || event.defaultPrevented || event.submitter?.formTarget || event.submitter?.hasAttribute("data-file")) return;
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "1";
  });
  const usable = () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  addEventListener("pageshow", usable);
  // Whoever stops the page that was coming is still here.
  globalThis.navigation?.addEventListener("navigateerror", usable);

  // Whoever leaves what was typed into a long form is asked first: by a key, a link, or by closing the tab. Sending it is no leaving.
  const worth = [...document.querySelectorAll("form[data-keep]")].map((form) => {
    const text = () => JSON.stringify([...new FormData(form)].filter(([, value]) => typeof value === "string"));
    const was = text();
    // "typed": it came back with what was typed, so nothing of it is stored.
    return () => !form.dataset.sent && (form.dataset.keep === "typed" || text() !== was);
  });
  if (worth.length > 0) {
    addEventListener("beforeunload", (event) => {
      if (!document.querySelector("form[data-gives-up][data-sent]") && worth.some((isTyped) => isTyped())) event.preventDefault();
    });
  }

  // What is meant for elsewhere is copied. Without a safe connection there is no clipboard: then it is selected, and the reader copies it.
  document.addEventListener("click", async (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-copy]") : null;
    const source = button && document.getElementById(button.dataset.copy);
    if (!source) return;
    let told = "Copied";
    try {
      await navigator.clipboard.writeText(source.href ?? source.textContent.trim());
    } catch {
      getSelection().selectAllChildren(source);
      told = "It is selected: copy it by the keyboard or the menu of the browser";
    }
    if (!toasts) return;
    toasts.querySelectorAll("[data-copied]").forEach((toast) => toast.remove());
    const toast = document.createElement("div");
    toast.className = "toast";
    toast.dataset.copied = "";
    const words = document.createElement("span");
    words.textContent = told;
    toast.append(...[button.querySelector("svg")?.cloneNode(true), words].filter(Boolean));
    toasts.append(toast);
  });

  // What is meant for paper opens the browser's own dialog.
  document.addEventListener("click", (event) => { if (event.target instanceof Element && event.target.closest("[data-print]")) print(); });
  // Filters that stand outside their form act at once; in a sheet that covers the list they wait for its button.
  document.addEventListener("change", (event) => {
    const form = event.target.form;
    if (event.target === going) return;
    if (form?.hasAttribute("data-live") && !form.contains(event.target) && !event.target.closest("[popover]:popover-open")) form.requestSubmit();
  });

  // A box that ticks the boxes of its table.
  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) || !box.matches("thead input[type=checkbox]")) return;
    box.closest("table").querySelectorAll("tbody input[type=checkbox]").forEach((other) => { other.checked = box.checked; });
  });

  // The composer shows the mail without being asked; a button puts a variable where the cursor was.
  // A form goes one way at a time: showing the mail would stop the form that is being sent.
  const showMail = () => document.querySelectorAll("[data-show-mail]").forEach((button) => { if (!button.form?.dataset.sent) button.form?.requestSubmit(button); });
  showMail();
  document.addEventListener("htmx:oobAfterSwap", (event) => { if (event.detail.target.id === "preview") showMail(); });
  document.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest("[data-insert]") : null;
    const field = button && document.getElementById(button.dataset.into);
    if (!field) return;
    field.setRangeText(button.dataset.insert, field.selectionStart, field.selectionEnd, "end");
    field.dispatchEvent(new Event("input", { bubbles: true }));
    button.closest("[popover]")?.hidePopover();
    field.focus();
  });

  // Keys. They act outside fields only; Ctrl+Enter and Escape act in them.
  const GO = { h: "/app", p: "/app/people", e: "/app/events", c: "/app/campaigns", s: "/app/settings" };
  const inField = (node) => node instanceof HTMLElement && (node.isContentEditable || node.matches("input:not([type=checkbox], [type=radio], [type=button], [type=submit]), textarea, select"));
  const rows = () => [...document.querySelectorAll(".table tbody tr, .event-row, .list > li")].filter((row) => row.querySelector("a[href]"));
  const linkOf = (row) => row.querySelector("[data-open], th a[href], h3 a[href], a.title[href], a[href]");
  const step = (by) => {
    const all = rows();
    const at = all.findIndex((row) => row.contains(document.activeElement));
    const next = all[Math.min(Math.max(at + by, 0), all.length - 1)];
    if (next) linkOf(next)?.focus();
  };
  let goes = false;
  document.addEventListener("keydown", (event) => {
    const field = inField(event.target);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && field) {
      event.target.form?.requestSubmit();
      return;
    }
    if (event.key === "Escape" && field && !event.defaultPrevented && !event.target.closest("[popover]:popover-open")) {
      event.target.blur();
      return;
    }
    if (field || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (goes) {
      goes = false;
      if (GO[event.key]) { event.preventDefault(); location.assign(GO[event.key]); }
      return;
    }
    const click = (selector) => { const node = document.querySelector(selector); if (node) { event.preventDefault(); node.click(); } };
    switch (event.key) {
      case "g": goes = true; setTimeout(() => { goes = false; }, 1500); break;
      case "/": {
        event.preventDefault();
        // Lists have a search of their own; everywhere else it is the one for everything.
        const search = document.querySelector("[data-slash]");
        if (search) { search.focus(); search.select(); } else location.assign("/app/search");
        break;
      }
      case "?": location.assign("/app/settings#keyboard"); break;
      case "j": step(1); break;
      case "k": step(-1); break;
      case "x": {
        const row = rows().find((one) => one.contains(document.activeElement));
        row?.querySelector("input[type=checkbox]")?.click();
        break;
      }
      case "n": click("[data-key=n]"); break;
      case "e": click("[data-key=e]"); break;
    }
  });
})();
