// The same requests, made by each server in a database of its own, must leave
// the same behind, down to the types of numbers, but for what is known.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';

import { differences, dump } from './dump.js';
import { names } from './known.js';
import { onAll, skipped, starters } from './servers.js';
import { change, create } from './world.js';

test('what is stored', { skip: skipped }, () => {});

test('the differences that are meant are told', () => {
  const text = readFileSync(new URL('../../docs/compatibility.md', import.meta.url), 'utf8').split('## Stored differently')[1] ?? '';
  assert.deepEqual(names.filter((name) => !text.includes(`| ${name} |`)), []);
});

onAll('stored', (kind) => {
  test('the same by both', async () => {
    const since = Date.now();
    const stored = { 'parse-server': {}, pargo: {} };
    for (const [name, start] of Object.entries(starters)) {
      const database = await kind.new();
      try {
        const server = await start(database);
        try {
          const tokens = await create(server.client, 'X');
          stored[name].created = await dump(database, since);
          await change(server.client, 'X', tokens);
          stored[name].changed = await dump(database, since);
        } finally {
          await server.stop();
        }
      } finally {
        await database.drop();
      }
    }
    for (const state of ['created', 'changed']) {
      const [left, right] = Object.values(stored).map((s) => s[state]);
      assert.ok(Object.keys(left).length > 12, 'there is something to compare');
      assert.deepEqual(differences(left, right, 'parse-server', 'pargo'), [], state);
    }
  });
});
