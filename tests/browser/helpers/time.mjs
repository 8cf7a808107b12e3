// Time that passes for a session. Nobody waits: what the storage has noted of the session lies so much further back. While it is moved the server is down,
// since what it has read lately is in its memory.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { session } from './signin.mjs';

// Python, because Node has SQLite only in versions that are newer than what the tests ask for.
const PROGRAM = `
import sqlite3, sys
path, key, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3])
database = sqlite3.connect(path, timeout=10)
with database:
    for name in ("created", "seen", "expiresAt", "refreshAt"):
        there = f"pk = ? AND json_extract(item, '$.{name}') IS NOT NULL"
        changed = database.execute(f"UPDATE main_items SET item = json_set(item, '$.{name}', json_extract(item, '$.{name}') - ?) WHERE {there}", (seconds, key))
        if name == "seen":
            print(changed.rowcount)
database.close()
`;

export async function passes(person, minutes) {
  const cookie = await session(person);
  assert.ok(cookie, 'there is no session');
  const key = `session#${createHash('sha256').update(cookie).digest('base64url')}`;
  const database = join(person.server.folder, 'data', 'emcrm.db');
  await person.server.restart(async () => {
    const { stdout } = await promisify(execFile)('python3', ['-c', PROGRAM, database, key, String(minutes * 60)]);
    assert.equal(stdout.trim(), '1', 'the session is in the storage');
  });
}
