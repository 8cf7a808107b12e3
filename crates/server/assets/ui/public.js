// When an event is where the reader is. Without this script the page says it in the event's own zone alone.
"use strict";

(() => {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  document.querySelectorAll("[data-local]").forEach((place) => {
    const [start, end] = [new Date(place.dataset.starts), new Date(place.dataset.ends)];
    if (!here || Number.isNaN(start.getTime()) || Number.isNaN(end.getTime())) return;
    const wall = (zone) => new Intl.DateTimeFormat("en-GB", { timeZone: zone, dateStyle: "full", timeStyle: "short", hourCycle: "h23" }).formatRange(start, end);
    let there;
    try { there = wall(place.dataset.zone); } catch { return; }
    // Zones with different names may show the same time.
    if (wall(here) === there) return;
    place.textContent = `Where you are (${here.replaceAll("_", " ")}) that is ${new Intl.DateTimeFormat("en-GB", { timeZone: here, weekday: "long", day: "numeric", month: "long", hour: "2-digit", minute: "2-digit", hourCycle: "h23" }).formatRange(start, end)}.`;
  });
})();
