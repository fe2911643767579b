// Parse Server and pargo take turns on one database. Whatever the one has
// written, the other reads, queries, changes and logs in with; then both read
// everything and must answer the same.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Comparison, asSeenBy, everything, queries } from './compare.js';
import { onAll, pargo, parseServer, room, skipped } from './servers.js';
import { change, create, login, names, password, until } from './world.js';

// with starts servers, one after the other, runs f on their clients and stops them.
async function running(database, starters, f) {
  const servers = [];
  try {
    for (const start of starters) servers.push(await start(database));
    await f(...servers.map((s) => s.client));
  } finally {
    for (const s of servers) await s.stop();
  }
}

test('parse-server and pargo in turn', { skip: skipped }, () => {});

onAll('in turn', (kind) => {
  let database;
  const worlds = {}; // by tag: its sessions

  before(async () => { database = await kind.new(); });
  after(() => database.drop());

  // agree lets both servers read all there is.
  const agree = (name) => test(name, async () => {
    await running(database, [parseServer, pargo], async (ps, pg) => {
      const c = new Comparison(ps, pg);
      await everything(c, kind.name);
      for (const [tag, tokens] of Object.entries(worlds)) {
        await asSeenBy(c, tag, tokens);
        await queries(c, tag, kind.name);
      }
      assert.deepEqual(c.lines, [], `of ${c.asked} answers`);
    });
  });

  test('Parse Server creates a world', () => running(database, [parseServer], async (c) => {
    worlds.P = await create(c, 'P');
  }));
  agree('both read it');
  test('pargo changes that world and creates one', () => running(database, [pargo], async (c) => {
    await change(c, 'P', worlds.P);
    worlds.G = await create(c, 'G');
  }));
  agree('both read them');
  test('Parse Server changes the world of pargo and creates one', () => running(database, [parseServer], async (c) => {
    await change(c, 'G', worlds.G);
    worlds.Q = await create(c, 'Q');
  }));
  agree('both read all three');
  test('pargo changes what Parse Server made and changed', () => running(database, [pargo], async (c) => {
    await change(c, 'Q', worlds.Q);
  }));
  agree('both read all at the end');

  if (kind.name === 'postgresql') {
    test('transactions, and what Parse Server allows on PostgreSQL alone', async () => {
      await running(database, [parseServer, pargo], async (ps, pg) => {
        for (const [c, other] of [[ps, pg], [pg, ps]]) {
          const className = `Both${c.name.length}`;
          const item = (objectId) => ({ method: 'POST', path: `/parse/classes/${className}`, body: { objectId, n: 1 } });
          await c.post(`/classes/${className}`, { objectId: 'there', n: 1 });
          const failed = await c.send('POST', '/batch', { transaction: true, requests: [item('a'), item('there')] });
          assert.ok(failed.status >= 400, c.name);
          await c.post('/batch', { transaction: true, requests: [item('b'), item('c')] });
          const rows = await until(room, () => other.find(className, { order: 'objectId' }), (a) => a.body.results.length > 0);
          assert.deepEqual(rows.body.results.map((o) => o.objectId), ['b', 'c', 'there'], c.name);
        }
        const point = (latitude) => ({ __type: 'GeoPoint', latitude, longitude: 1 });
        await ps.post('/classes/Points', { objectId: 'p', one: point(1) });
        await ps.put('/classes/Points/p', { two: point(2) });
        await until(room, () => pg.send('GET', '/classes/Points/p'), (a) => a.body.two?.__type === 'GeoPoint');
        await pg.put('/classes/Points/p', { one: point(3), n: 1 });
        await pg.post('/classes/Points', { objectId: 'q', two: point(4) });
        assert.deepEqual((await ps.get('/classes/Points/p')).one, point(3));
        const c = new Comparison(ps, pg);
        await c.find('Points', { order: 'objectId' });
        assert.deepEqual(c.lines, []);
      });
    });
  }

  test('log-in, names that are taken, duplicates: either refuses what the other has', async () => {
    await running(database, [parseServer, pargo], async (ps, pg) => {
      for (const tag of Object.keys(worlds)) {
        const n = names(tag);
        for (const [c, other] of [[ps, pg], [pg, ps]]) {
          const token = await login(c, n.bob);
          assert.equal((await other.as(token).get('/users/me')).username, n.bob);
          await c.as(token).post('/logout');
          assert.equal((await c.as(null).send('POST', '/login', { username: n.bob, password: 'wrong' })).body.code, 101);
          assert.equal((await c.as(null).send('POST', '/users', { username: n.ann.toUpperCase(), password: 'x' })).body.code, 202);
          assert.equal((await c.as(null).send('POST', '/users', { username: `new${n.ann}`, password: 'x', email: `${n.bob}@example.com` })).body.code, 203);
          assert.equal((await c.send('POST', `/classes/${n.all}`, { objectId: n.id('a') })).body.code, 137);
          assert.equal((await c.send('POST', '/roles', { name: n.staff, ACL: {} })).body.code, 137);
          assert.equal((await c.send('POST', `/classes/${n.first}`, { number: 'text' })).body.code, 111);
          assert.equal((await c.send('POST', `/schemas/${n.all}`, { className: n.all })).body.code, 103);
          const again = await c.as(true, { 'X-Parse-Request-Id': `req-${tag}` }).send('POST', `/classes/${n.first}`, { text: 'twice' });
          assert.equal(again.body.code, 159, `${c.name}: a request id that was used`);
          const anonymous = await c.as(null).post('/users', { authData: { anonymous: { id: `anon-${tag}` } } });
          assert.equal(anonymous.objectId, n.id('anon'));
        }
        assert.ok(await login(pg, n.cat, `${password(n.cat)}-new`));
      }
    });
  });
});
