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

// What has the focus, as a locator would name it.
export const hasFocus = (target) => target.evaluate((element) => element === document.activeElement);
// A part of a page that comes anew gets its focus a moment later.
export async function getsFocus(target, told) {
  for (const until = Date.now() + 3000; !(await hasFocus(target)); ) {
    if (Date.now() > until) assert.fail(`${told}: it is on ${await target.page().evaluate(() => document.activeElement.outerHTML.slice(0, 160))}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
