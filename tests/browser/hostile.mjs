// Texts that run a script where a page takes them for its own words. Each field that somebody outside or inside can fill in has one of its own, which says
// by its number where it came from: `ran(3)` is the function by which visitors (helpers/visitor.mjs) notice.

// Everything that is shown on some page and was written by a person, a file, a mail server or an address bar.
export const FIELDS = [
  'user.firstName', 'user.lastName', 'user.email', 'user.phoneNumber', 'user.jobTitle', 'user.company', 'user.city', 'user.state', 'user.avatar',
  'event.title', 'event.description', 'event.venue', 'attendance.attended',
  'campaign.subject', 'campaign.body', 'campaign.filter', 'delivery.error',
  'template.name', 'template.subject', 'template.body', 'token.name', 'suppression.email', 'suppression.note',
  'import.file', 'import.column', 'import.cell', 'public.firstName', 'public.lastName',
  'asked.search', 'asked.people', 'asked.company', 'asked.events', 'asked.attendees', 'asked.candidates', 'asked.door', 'asked.ledger', 'asked.audit', 'asked.suppression',
  'refused.person', 'refused.event', 'refused.campaign', 'refused.template', 'refused.token', 'refused.suppression', 'refused.attendees', 'refused.public',
];

function number(field) {
  const found = FIELDS.indexOf(field);
  if (found < 0) throw new Error(`${field} is not in FIELDS`);
  return found;
}

// At most 25, 30, 19 and 42 characters.
export const script = (field) => `<script>ran(${number(field)})</script>`;
export const image = (field) => `"><img src=x onerror=ran(${number(field)})>`;
export const short = (field) => `<svg onload=ran(${number(field)})>`;
export const inTextarea = (field) => `</textarea><img src=x onerror=ran(${number(field)})>`;
// The part before the at sign may be almost anything between quotation marks.
export const address = (field) => `"<svg/onload=ran(${number(field)})>"@example.org`;

export const BRACES = '{{7*7}} ${7*7} {% raw %}';
export const RIGHT_TO_LEFT = '\u202Eabc\u202C مرحبا שלום';
export const EMOJI = '👩‍👩‍👧‍👦 🦀 e\u0301';
export const LONG = 'Donaudampfschifffahrtsgesellschaftskapitänsmütze';
export const QUOTES = `'; DROP TABLE x;-- \\" &lt;b&gt; &amp;`;
