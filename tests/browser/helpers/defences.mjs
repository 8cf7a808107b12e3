// Takes defences against hostile texts away from the pages that a visitor gets: what they hold is not escaped, or the content security policy is gone.
// That shows that the other one holds alone, and that a test notices where neither does.

const unescaped = (html) =>
  html
    .replaceAll(/&#(x?)([0-9a-f]+);/gi, (_, hex, digits) => String.fromCodePoint(parseInt(digits, hex ? 16 : 10)))
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');

export async function withoutDefences(person, { escaping = false, policy = false }) {
  await person.page.route('**', async (route) => {
    // Scripts and stylesheets of ours have no say in this, and pictures that are not there must fail quickly.
    if (route.request().resourceType() !== 'document') return route.abort('aborted');
    const response = await route.fetch();
    const headers = response.headers();
    if (!policy) delete headers['content-security-policy'];
    const html = await response.text();
    return route.fulfill({ status: response.status(), headers, body: escaping ? html : unescaped(html) });
  });
}
