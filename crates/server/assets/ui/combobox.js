// A field that finds people while somebody types, as a combobox: the arrows lead through what was found, Enter takes it, Escape closes the list, Home and
// End go back into the field. Without this script there is a button beside the field, and what is found is a list of buttons.
"use strict";

(() => {
  const upgrade = (field) => {
    const place = document.querySelector(field.dataset.hxTarget);
    // How many there are is said by itself; the list is read by whoever walks through it.
    const said = document.createElement("p");
    said.className = "visually-hidden";
    said.setAttribute("role", "status");
    place.removeAttribute("aria-live");
    place.after(said);
    field.setAttribute("role", "combobox");
    field.setAttribute("aria-autocomplete", "list");
    let options = [];
    let at = -1;
    const list = () => place.querySelector(".picks");
    const isOpen = () => field.getAttribute("aria-expanded") === "true";

    const mark = (next) => {
      at = next;
      options.forEach((option, n) => option.setAttribute("aria-selected", n === at ? "true" : "false"));
      if (at < 0) field.removeAttribute("aria-activedescendant");
      else {
        field.setAttribute("aria-activedescendant", options[at].id);
        options[at].scrollIntoView({ block: "nearest" });
      }
    };
    const show = (open) => {
      place.hidden = !open;
      field.setAttribute("aria-expanded", String(open));
      if (open) field.setAttribute("aria-controls", list().id);
      else field.removeAttribute("aria-controls");
      mark(-1);
    };
    // What came from the server: buttons and links in a list, and lines that cannot be chosen.
    const take = () => {
      const box = list();
      options = [];
      if (box) {
        box.id = `${place.id}-list`;
        box.setAttribute("role", "listbox");
        options = [...box.children].map((line, n) => {
          const choice = line.querySelector("button, a[href]");
          const option = choice ?? line;
          if (choice) {
            line.setAttribute("role", "none");
            line.querySelector("form")?.setAttribute("role", "none");
            choice.tabIndex = -1;
          } else option.setAttribute("aria-disabled", "true");
          option.id = `${place.id}-${n}`;
          option.setAttribute("role", "option");
          return option;
        });
        const found = Number(box.dataset.found);
        said.textContent = found === 1 ? "1 person found" : `${found} people found`;
      } else said.textContent = "";
      show(options.length > 0 && document.activeElement === field);
    };

    field.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.isComposing) return;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step && options.length > 0) {
        event.preventDefault();
        if (!isOpen()) show(true);
        // Past either end lies the field itself.
        const places = options.length + 1;
        mark(((at + 1 + step + places) % places) - 1);
      } else if (event.key === "Enter") {
        if (at >= 0) {
          event.preventDefault();
          if (options[at].getAttribute("aria-disabled") !== "true") options[at].click();
        } else if (field.form?.method !== "get" && field.value) event.preventDefault();
      } else if (event.key === "Escape" && isOpen()) {
        event.preventDefault();
        show(false);
      } else if (["Home", "End", "ArrowLeft", "ArrowRight"].includes(event.key)) mark(-1);
    });
    field.addEventListener("input", () => mark(-1));
    field.addEventListener("focus", () => { if (options.length > 0 && !isOpen()) show(true); });
    field.addEventListener("blur", () => { if (isOpen()) show(false); });
    // A press in the list leaves the focus where it is.
    place.addEventListener("mousedown", (event) => event.preventDefault());
    place.addEventListener("htmx:afterSwap", take);
    field.setAttribute("aria-expanded", "false");
    take();
    // Somebody who asked by the button gets the answer at once.
    if (options.length > 0) field.focus();
  };
  document.querySelectorAll("input[data-combobox]").forEach(upgrade);
})();
