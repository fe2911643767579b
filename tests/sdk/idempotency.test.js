// Requests with an id are served once; the unmodified JS SDK sends one with each, and the same one when it retries.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, databases, freely, openSchema, start } from './harness.js';

const ids = (id) => Parse.CoreManager.set('REQUEST_HEADERS', id ? { 'X-Parse-Request-Id': id } : {});

// losingAnswers makes the connection fail after the server has answered, n times.
function losingAnswers(n) {
  const real = globalThis.fetch;
  const sent = [];
  globalThis.fetch = async (url, options) => {
    sent.push(options.headers['X-Parse-Request-Id']);
    const response = await real(url, options);
    if (n-- > 0) {
      await response.text();
      return new Response('', { status: 502 });
    }
    return response;
  };
  return { sent, end: () => { globalThis.fetch = real; } };
}

for (const database of databases()) {
  for (const replay of [false, true]) {
    describe(`idempotency ${replay ? 'with' : 'without'} replay on ${database.name}`, () => {
      let server;

      before(async () => {
        server = await start(database, [...freely, '--idempotencyOptions', JSON.stringify({ paths: ['classes/.*', 'users'], replay })], { schema: openSchema });
        server.use();
        Parse.idempotency = true;
      });
      afterEach(() => ids());
      after(() => {
        Parse.idempotency = false;
        return server.stop();
      });

      const count = (n) => new Parse.Query('Thing').equalTo('n', n).count();

      test('requests of different ids do not touch each other', async () => {
        await new Parse.Object('Thing').save({ n: 1 });
        await new Parse.Object('Thing').save({ n: 1 });
        assert.equal(await count(1), 2);
      });

      test('another request with the same id', async () => {
        ids('other');
        await new Parse.Object('Thing').save({ n: 2 });
        await assert.rejects(new Parse.Object('Thing').save({ n: 22 }), code(Parse.Error.DUPLICATE_REQUEST, /^Duplicate request$/));
        assert.equal(await count(22), 0);
      });

      test('the same request again', async () => {
        ids('same');
        const first = await new Parse.Object('Thing').save({ n: 3 });
        const again = new Parse.Object('Thing').save({ n: 3 });
        if (replay) assert.equal((await again).id, first.id);
        else await assert.rejects(again, code(Parse.Error.DUPLICATE_REQUEST));
        assert.equal(await count(3), 1);
      });

      test('the SDK retries after a lost answer', async () => {
        const net = losingAnswers(2);
        try {
          const saved = new Parse.Object('Thing').save({ n: 4 });
          if (replay) assert.ok((await saved).id);
          else await assert.rejects(saved, code(Parse.Error.DUPLICATE_REQUEST));
        } finally {
          net.end();
        }
        assert.equal(new Set(net.sent).size, 1, 'one id for all attempts');
        assert.equal(await count(4), 1);
      });

      test('a sign-up', async () => {
        const net = losingAnswers(1);
        try {
          const user = new Parse.User({ username: 'u', password: 'p' }).signUp();
          if (replay) assert.ok(await new Parse.Query('Thing').count(as(await user)) > 0);
          else await assert.rejects(user, code(Parse.Error.DUPLICATE_REQUEST));
        } finally {
          net.end();
        }
        assert.ok((await Parse.User.logIn('u', 'p')).id);
      });
    });
  }
}
