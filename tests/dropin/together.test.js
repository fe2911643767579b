// Both servers serve one database at the same time, under mixed traffic for
// DROPIN_SECONDS. Then every object is read through both, and what was
// acknowledged must be there.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Comparison, asSeenBy, everything } from './compare.js';
import { onAll, pargo, parseServer, room, skipped } from './servers.js';
import { Traffic } from './traffic.js';
import { create, login, names, password, until } from './world.js';

const seconds = Number(process.env.DROPIN_SECONDS ?? 60);
const workers = 4; // on each database
const pointer = (className, objectId) => ({ __type: 'Pointer', className, objectId });

test('both at the same time', { skip: skipped }, () => {});

onAll('both at once', (kind) => {
  let database;
  let servers = [];
  let ps;
  let pg;

  before(async () => {
    database = await kind.new();
    servers = [await parseServer(database)];
    servers.push(await pargo(database));
    [ps, pg] = servers.map((s) => s.client);
  });
  after(async () => {
    for (const s of servers) await s.stop();
    await database.drop();
  });

  for (const direction of ['parse-server to pargo', 'pargo to parse-server']) {
    const to = direction.endsWith('pargo');
    const tag = to ? 'T' : 'U';
    describe(`noticed from ${direction}`, () => {
      let here;
      let there;
      let tokens;
      const n = names(tag);
      before(async () => {
        [here, there] = to ? [ps, pg] : [pg, ps];
        tokens = await create(here, tag);
      });

      test('classes, fields and permissions', async () => {
        const square = { __type: 'Polygon', coordinates: [[0, 0], [0, 1], [1, 1], [0, 0]] };
        const schema = () => there.send('GET', `/schemas/${n.all}`);
        await until(room, schema, (a) => a.status === 200 && a.body.fields.area?.type === 'Polygon');
        await here.put(`/schemas/${n.all}`, { className: n.all, fields: { later: { type: 'Polygon' } }, classLevelPermissions: { find: {}, get: { '*': true } } });
        await here.put(`/classes/${n.all}/${n.id('a')}`, { later: square });
        await until(room, schema, (a) => a.body.fields.later?.type === 'Polygon');
        await until(room, () => there.as(null).find(n.all), (a) => a.body.code === 119);
        assert.deepEqual((await there.get(`/classes/${n.all}/${n.id('a')}`)).later, square);
        await here.put(`/schemas/${n.all}`, { className: n.all, classLevelPermissions: { find: { '*': true }, get: { '*': true }, create: { '*': true }, update: { '*': true }, delete: { '*': true } } });
        await until(room, () => there.as(null).find(n.all), (a) => a.status === 200);
      });

      test('a session that has ended', async () => {
        const token = await login(here, n.bob);
        const me = () => there.as(token).send('GET', '/users/me');
        assert.equal((await me()).body.username, n.bob);
        await here.as(token).post('/logout');
        await until(room, me, (a) => a.body.code === 209);
      });

      test('sessions that end with a new password', async () => {
        const token = await login(here, n.cat);
        const me = () => there.as(token).send('GET', '/users/me');
        assert.equal((await me()).status, 200);
        await here.put(`/users/${n.id('cat')}`, { password: password(n.cat) });
        await until(room, me, (a) => a.body.code === 209);
        assert.equal((await there.as(await login(there, n.cat)).get('/users/me')).username, n.cat);
      });

      test('a role that was given and taken', async () => {
        const object = `/classes/${n.first}/${n.id('role')}`;
        await here.post(`/classes/${n.first}`, { objectId: n.id('role'), ACL: { [`role:${n.editors}`]: { read: true } } });
        const token = await login(here, n.cat);
        const see = () => there.as(token).send('GET', object);
        assert.equal((await see()).status, 404);
        await here.put(`/roles/${n.id('editors')}`, { users: { __op: 'AddRelation', objects: [pointer('_User', n.id('cat'))] } });
        await until(room, see, (a) => a.status === 200);
        await here.put(`/roles/${n.id('editors')}`, { users: { __op: 'RemoveRelation', objects: [pointer('_User', n.id('cat'))] } });
        await until(room, see, (a) => a.status === 404);
      });

      test('the config', async () => {
        await here.put('/config', { params: { [`flag${tag}`]: 1 } });
        await until(room, () => there.get('/config'), (a) => a.params[`flag${tag}`] === 1);
      });

      test('and all sessions of the world go on', async () => {
        assert.equal((await there.as(tokens[n.ann]).get('/users/me')).username, n.ann);
      });
    });
  }

  test('classes and fields that both make at the same moment', async () => {
    const failed = [];
    for (let i = 0; i < 20; i++) {
      const both = await Promise.all([ps, pg].map((c) => c.send('POST', `/classes/Race${i}`, { [`by${c.kind}`]: c.name, same: 1, [`f${i}`]: [] })));
      for (const [n, { status, body }] of both.entries()) if (status !== 201) failed.push(`${[ps, pg][n].name}: ${status} ${JSON.stringify(body)}`);
      const again = await Promise.all([ps, pg].map((c) => c.send('POST', `/classes/Race${i}`, { new: true, other: c.name, more: { a: 1 } })));
      for (const [n, { status, body }] of again.entries()) if (status !== 201) failed.push(`${[ps, pg][n].name}: ${status} ${JSON.stringify(body)}`);
    }
    assert.deepEqual(failed, [], servers[1].log().split('\n').filter((l) => /level=(WARN|ERROR)/.test(l)).join('\n'));
  });

  test(`${seconds} s of mixed traffic`, { timeout: (seconds + 120) * 1000 }, async () => {
    const t = new Traffic(ps, pg, workers);
    await t.begin();
    await t.run(seconds);
    assert.deepEqual(t.failed.slice(0, 10), [], `${t.failed.length} of ${t.requests} steps; ${servers[1].log().split('\n').filter((l) => /level=ERROR/.test(l)).join('\n')}`);

    const c = new Comparison(ps, pg);
    await until(room, async () => {
      const [a, b] = await Promise.all([ps, pg].map((x) => x.get('/schemas')));
      return JSON.stringify([a, b].map((x) => x.results.map((s) => `${s.className} ${Object.keys(s.fields).sort()}`).sort()));
    }, (both) => { const [a, b] = JSON.parse(both); return a.join() === b.join(); });
    await everything(c, kind.name);
    await asSeenBy(c, 'M', t.tokens);
    assert.deepEqual(c.lines, [], `of ${c.asked} answers`);
    for (const client of [ps, pg]) await t.check(client);
    console.log(`# ${t.requests} steps of ${workers} workers on ${kind.name}, ${c.asked} answers compared: ${JSON.stringify(t.done)}`);
  });
});
