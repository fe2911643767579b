// What is stored of accounts beyond passwords means the same to both servers:
// failed logins, old passwords, second factors, providers, tokens.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, test } from 'node:test';

import { onAll, pargo, parseServer, room, skipped } from './servers.js';
import { login, until } from './world.js';

const options = {
  accountLockout: { duration: 1, threshold: 3 },
  passwordPolicy: { maxPasswordHistory: 3, maxPasswordAge: 30 },
};

// totp is the code of a secret for the time, as RFC 6238 has it.
function totp(secret, time = Date.now()) {
  const bits = [...secret].map((ch) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(ch).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(time / 30_000)));
  const hash = createHmac('sha1', key).update(counter).digest();
  const code = hash.readUInt32BE(hash[19] & 15) & 0x7fffffff;
  return `${code % 1_000_000}`.padStart(6, '0');
}

test('accounts', { skip: skipped }, () => {});

onAll('accounts', (kind) => {
  let database;
  let servers = [];
  let both = [];

  before(async () => {
    database = await kind.new();
    for (const start of [parseServer, pargo]) servers.push(await start(database, options));
    both = servers.map((s) => s.client);
  });
  after(async () => {
    for (const s of servers) await s.stop();
    await database.drop();
  });

  // either runs f as a test for both servers as the first.
  const either = (name, f) => {
    for (const first of [0, 1]) {
      test(`${name}, ${first ? 'pargo' : 'Parse Server'} first`, () => f(both[first], both[1 - first], `${first}`));
    }
  };
  const signUp = (c, username, more) => c.as(null).post('/users', { username, password: 'Secret-1', ...more });

  either('failed logins of both count', async (a, b, n) => {
    const username = `lock${n}`;
    await signUp(a, username);
    const wrong = async (c) => (await c.as(null).send('POST', '/login', { username, password: 'wrong' })).body;
    for (const c of [a, b, a]) assert.equal((await wrong(c)).code, 101);
    for (const c of [a, b]) {
      const { body } = await c.as(null).send('POST', '/login', { username, password: 'Secret-1' });
      assert.match(body.error, /^Your account is locked due to multiple failed login attempts/, c.name);
    }
  });

  either('old passwords of both are refused', async (a, b, n) => {
    const { objectId } = await signUp(a, `old${n}`);
    const set = (c, password) => c.send('PUT', `/users/${objectId}`, { password });
    assert.equal((await set(b, 'Secret-2')).status, 200);
    assert.equal((await set(a, 'Secret-1')).body.code, 142);
    assert.equal((await set(b, 'Secret-1')).body.code, 142);
    assert.equal((await set(a, 'Secret-3')).status, 200);
    assert.equal((await set(b, 'Secret-2')).body.code, 142);
    assert.ok(await login(b, `old${n}`, 'Secret-3'));
    assert.ok(await login(a, `old${n}`, 'Secret-3'));
  });

  either('a second factor is asked for by both', async (a, b, n) => {
    const username = `mfa${n}`;
    const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP';
    const user = await signUp(a, username);
    await a.as(user.sessionToken).put(`/users/${user.objectId}`, { authData: { mfa: { secret, token: totp(secret) } } });
    for (const c of [b, a]) {
      const bare = await c.as(null).send('POST', '/login', { username, password: 'Secret-1' });
      assert.match(bare.body.error, /Missing additional authData mfa/, c.name);
      const bad = await c.as(null).send('POST', '/login', { username, password: 'Secret-1', authData: { mfa: { token: '000000' } } });
      assert.ok(bad.status >= 400, c.name);
      const good = await c.as(null).post('/login', { username, password: 'Secret-1', authData: { mfa: { token: totp(secret) } } });
      assert.equal((await b.as(good.sessionToken).get('/users/me')).username, username);
    }
  });

  either('an anonymous user becomes one with a name', async (a, b, n) => {
    const authData = { anonymous: { id: `nobody${n}` } };
    const first = await a.as(null).post('/users', { authData });
    const again = await b.as(null).post('/users', { authData });
    assert.equal(again.objectId, first.objectId);
    await b.as(again.sessionToken).put(`/users/${first.objectId}`, { username: `somebody${n}`, password: 'Secret-1', authData: { anonymous: null } });
    for (const c of [a, b]) {
      const token = await login(c, `somebody${n}`, 'Secret-1');
      const me = await c.as(token).get('/users/me');
      assert.equal(me.objectId, first.objectId);
      assert.equal(me.authData, undefined, c.name);
    }
  });

  either('a user that is gone cannot go on', async (a, b, n) => {
    const user = await signUp(a, `gone${n}`);
    const me = () => b.as(user.sessionToken).send('GET', '/users/me');
    assert.equal((await me()).status, 200);
    await a.delete(`/users/${user.objectId}`);
    await until(room, me, (answer) => answer.body.code === 209);
    assert.equal((await b.as(null).send('POST', '/login', { username: `gone${n}`, password: 'Secret-1' })).body.code, 101);
    await signUp(b, `gone${n}`);
  });

  either('a session that was made by hand', async (a, b, n) => {
    const user = await signUp(a, `hand${n}`);
    const session = await a.as(user.sessionToken).post('/sessions', {});
    assert.equal((await b.as(session.sessionToken).get('/users/me')).username, `hand${n}`);
    const list = async (c) => (await c.as(user.sessionToken).get('/sessions')).results.map((s) => s.objectId).sort();
    assert.deepEqual(await list(a), await list(b));
    await b.as(user.sessionToken).delete(`/sessions/${session.objectId}`);
    await until(room, () => a.as(session.sessionToken).send('GET', '/users/me'), (answer) => answer.body.code === 209);
  });

  either('a master key logs in as anybody', async (a, b, n) => {
    const user = await signUp(a, `as${n}`);
    const { sessionToken } = await b.post('/loginAs', { userId: user.objectId });
    assert.equal((await a.as(sessionToken).get('/users/me')).username, `as${n}`);
  });
});
