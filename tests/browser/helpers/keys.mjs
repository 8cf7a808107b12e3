// Going through a page by keys. Every stop on the way has to be seen: it has an outline or a shadow, and other ones than without the focus.
import assert from 'node:assert/strict';

// Tab by tab until this has the focus, or backwards. Whoever cannot be reached within so many presses cannot be reached.
export async function tabTo(page, target, { back = false, most = 150 } = {}) {
  const wanted = await target.elementHandle();
  for (let presses = 0; presses < most; presses++) {
    await page.keyboard.press(back ? 'Shift+Tab' : 'Tab');
    const stop = await page.evaluate((wanted) => {
      const signs = (node) =>
        [node, node.closest('label')].filter(Boolean).map((one) => {
          const { outlineStyle, outlineWidth, outlineColor, boxShadow } = getComputedStyle(one);
          return { outline: outlineStyle !== 'none' && parseFloat(outlineWidth) > 0 ? `${outlineStyle} ${outlineWidth} ${outlineColor}` : null, shadow: boxShadow !== 'none' ? boxShadow : null };
        });
      const told = (node) => node.outerHTML.slice(0, 160);
      const focus = document.activeElement;
      // What was left looks different now.
      const left = window.lastStop;
      const same = left && left.node !== focus && left.node.isConnected && JSON.stringify(signs(left.node)) === left.signs ? told(left.node) : null;
      window.lastStop = undefined;
      if (focus === document.body) return { body: true, same };
      const now = signs(focus);
      // In a frame the focus is on something in its own document.
      const framed = focus.tagName === 'IFRAME';
      if (!framed) window.lastStop = { node: focus, signs: JSON.stringify(now) };
      const box = focus.getBoundingClientRect();
      return { found: focus === wanted, shown: framed || now.some(({ outline, shadow }) => outline ?? shadow), size: box.width * box.height, html: told(focus), same };
    }, wanted);
    assert.equal(stop.same, null, 'this looks the same with the focus and without');
    if (stop.body) continue;
    assert.ok(stop.size > 0, `the focus is on something that cannot be seen: ${stop.html}`);
    assert.ok(stop.shown, `the focus cannot be seen on ${stop.html}`);
    if (stop.found) return;
  }
  throw new Error(`${target} cannot be reached by ${back ? 'Shift+Tab' : 'Tab'} on ${page.url()}`);
}

// Enter, where it leads to another page.
export const enter = (page) => Promise.all([page.waitForEvent('load'), page.keyboard.press('Enter')]);

// Two keys that lead to a place, if the second comes within 1.5 seconds. A machine that stood still between them presses both again.
export async function pressBoth(page, ...keys) {
  for (;;) {
    const began = performance.now();
    for (const key of keys) await page.keyboard.press(key);
    if (performance.now() - began < 1_400) return;
  }
}

// Nothing is asked for, and what came for it is in its place: fields have their values, and buttons do what they are there for.
export const still = (page) => page.waitForFunction(() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling'));

// Does what asks for a part of the page by this text, until the answer is in its place. A slow machine asks for the beginning of what is typed, too.
export async function answered(page, text, act) {
  await Promise.all([page.waitForResponse((answer) => [...new URL(answer.url()).searchParams.values()].includes(text)), act()]);
  await still(page);
}
export const look = (page, text) => answered(page, text, () => page.keyboard.type(text));

// What opens gets the focus a moment later.
export const opened = (page) => page.waitForFunction(() => document.querySelector('[popover]:popover-open')?.contains(document.activeElement));

// What has the focus, as a locator would name it.
export const hasFocus = (target) => target.evaluate((element) => element === document.activeElement);
// A part of a page that comes anew gets its focus a moment later.
export async function getsFocus(target, told) {
  for (const until = Date.now() + 10_000; !(await hasFocus(target)); ) {
    if (Date.now() > until) assert.fail(`${told}: it is on ${await target.page().evaluate(() => document.activeElement.outerHTML.slice(0, 160))}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
