// When an event is where the reader is. Without this script the page says it in the event's own zone alone.
"use strict";

(() => {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const DAY = 86_400_000;
  const parts = (at, options) => Object.fromEntries(new Intl.DateTimeFormat("en-US", options).formatToParts(at).map(({ type, value }) => [type, value]));
  document.querySelectorAll("[data-local]").forEach((place) => {
    const { starts, ends, zone, hours } = place.dataset;
    const [start, end] = [new Date(starts), new Date(ends)];
    if (!here || Number.isNaN(start.getTime()) || Number.isNaN(end.getTime())) return;
    // As the server writes it for this reader, but short: the line for it is kept free before it is known.
    const twelve = hours === "12";
    const day = (at, timeZone) => {
      const { weekday, month, day } = parts(at, { timeZone, weekday: "short", day: "numeric", month: "short" });
      return twelve ? `${weekday}, ${month} ${day}` : `${weekday}, ${day} ${month}`;
    };
    const clock = (at, timeZone) => {
      const { hour, minute, dayPeriod } = parts(at, { timeZone, hour: twelve ? "numeric" : "2-digit", minute: "2-digit", hourCycle: twelve ? "h12" : "h23" });
      return twelve ? `${hour}:${minute} ${dayPeriod}` : `${hour}:${minute}`;
    };
    const clocks = (timeZone) => {
      const [from, to] = [clock(start, timeZone), clock(end, timeZone)];
      const [, half] = from.split(" ");
      return half && to.endsWith(half) ? `${from.slice(0, -half.length - 1)}–${to}` : `${from}–${to}`;
    };
    // What ends after midnight needs no second day.
    const span = (timeZone) => (end - start < DAY ? `${day(start, timeZone)}, ${clocks(timeZone)}` : `${day(start, timeZone)}, ${clock(start, timeZone)} to ${day(end, timeZone)}, ${clock(end, timeZone)}`);
    let there;
    try { there = span(zone); } catch { return; }
    // Zones with different names may show the same time.
    const local = span(here);
    place.textContent = local === there ? "The same time where you are" : `Where you are: ${local}`;
    place.title = here.replaceAll("_", " ");
  });
})();
