// When an event is where the reader is. Without this script the page says it in the event's own zone alone.
"use strict";

(() => {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  // In the order in which the server writes it, but short: the line for it is kept free before it is known.
  const day = (at, timeZone) => {
    const parts = new Intl.DateTimeFormat("en-GB", { timeZone, weekday: "short", day: "numeric", month: "short" }).formatToParts(at);
    const part = (type) => parts.find((one) => one.type === type).value;
    return `${part("weekday")}, ${part("day")} ${part("month")}`;
  };
  const clock = (at, timeZone) => new Intl.DateTimeFormat("en-GB", { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).format(at);
  const DAY = 86_400_000;
  // What ends after midnight needs no second day.
  const span = (start, end, zone) => (end - start < DAY ? `${day(start, zone)}, ${clock(start, zone)}–${clock(end, zone)}` : `${day(start, zone)}, ${clock(start, zone)} to ${day(end, zone)}, ${clock(end, zone)}`);
  document.querySelectorAll("[data-local]").forEach((place) => {
    const [start, end] = [new Date(place.dataset.starts), new Date(place.dataset.ends)];
    if (!here || Number.isNaN(start.getTime()) || Number.isNaN(end.getTime())) return;
    let there;
    try { there = span(start, end, place.dataset.zone); } catch { return; }
    // Zones with different names may show the same time.
    const local = span(start, end, here);
    if (local === there) return;
    place.textContent = `Where you are: ${local}`;
    place.title = here.replaceAll("_", " ");
  });
})();
