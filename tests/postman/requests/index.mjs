// The folders of the collection, in the order in which they run.
import { start } from './start.mjs';
import { users } from './users.mjs';
import { events } from './events.mjs';
import { attendance } from './attendance.mjs';
import { search } from './search.mjs';
import { templates, suppressions } from './content.mjs';
import { drafts, campaigns, deprecated } from './campaigns.mjs';
import { auth, tokens } from './auth.mjs';
import { privacy } from './privacy.mjs';
import { finish } from './finish.mjs';

export const folders = [start, users, events, attendance, search, templates, suppressions, drafts, campaigns, deprecated, auth, tokens, privacy, finish];
