// Both servers serve one database at the same time, under mixed traffic for
// DROPIN_SECONDS. Then every object is read through both, and what was
// acknowledged must be there.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Comparison, asSeenBy, everything } from './compare.js';
import { databases, pargo, parseServer, room, skipped } from './servers.js';
import { create, login, names, password, until } from './world.js';

const seconds = Number(process.env.DROPIN_SECONDS ?? 20);
const workers = 6;
const pointer = (className, objectId) => ({ __type: 'Pointer', className, objectId });

// random is a generator with a seed, so that a run can be made again.
function random(seed) {
  let s = seed;
  return (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * n);
  };
}

test('both at the same time', { skip: skipped }, () => {});

for (const kind of databases()) {
  describe(`both at once on ${kind.name}`, () => {
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
      const n = names('M');
      const tokens = await create(ps, 'M');
      const deadline = Date.now() + seconds * 1000;
      const counted = { sum: 0, tags: new Set(), rows: new Set(), gone: new Set(), members: new Set(), failed: [], requests: 0 };
      await ps.post('/classes/Counter', { objectId: 'one', n: 0, list: [], tags: [] });
      await until(room, () => pg.send('GET', '/classes/Counter/one'), (a) => a.status === 200);

      // One step of a worker: an operation by one of the servers.
      async function step(w, i, pick, c) {
        const id = `m${w}-${i}`;
        switch (pick(12)) {
          case 0: case 1: {
            const amount = 1 + pick(3);
            await c.put('/classes/Counter/one', { n: { __op: 'Increment', amount } });
            counted.sum += amount;
            break;
          }
          case 2:
            await c.put('/classes/Counter/one', { tags: { __op: 'AddUnique', objects: [id] } });
            counted.tags.add(id);
            break;
          case 3: case 4:
            await c.post('/classes/Row', { objectId: id, w, i, text: `row ${i}`, when: { __type: 'Date', iso: new Date(1.6e12 + i).toISOString() }, where: { __type: 'GeoPoint', latitude: pick(90), longitude: pick(180) }, who: pointer('_User', n.id('ann')), data: { a: [i, null, { b: w }] } });
            counted.rows.add(id);
            break;
          case 5: {
            const [row] = [...counted.rows].slice(-1 - pick(5));
            if (row) await c.put(`/classes/Row/${row}`, { text: `by ${c.name}`, seen: { __op: 'Increment', amount: 1 }, 'data.by': c.name, who: pick(2) ? null : pointer('_User', n.id('bob')) });
            break;
          }
          case 6: {
            const row = `m${w}-${pick(i + 1)}`; // rows of this worker alone
            if (counted.rows.has(row) && !counted.gone.has(row)) {
              await c.delete(`/classes/Row/${row}`);
              counted.gone.add(row);
            }
            break;
          }
          case 7: {
            const token = await login(c, n.bob);
            assert.equal((await (c === ps ? pg : ps).as(token).get('/users/me')).username, n.bob);
            if (pick(2)) await c.as(token).post('/logout');
            break;
          }
          case 8:
            await c.put('/classes/Counter/one', { members: { __op: 'AddRelation', objects: [pointer('Row', id)] } });
            counted.members.add(id);
            break;
          case 9:
            await c.post('/users', { objectId: `u${id}`, username: `user ${id}`, password: 'x' });
            break;
          case 10: // a class and its field come into being on either server
            await c.post(`/classes/Made${pick(4)}`, { objectId: id, [`f${pick(6)}`]: i });
            break;
          default: {
            const { status, body } = await c.find('Row', { where: { w: { $lte: w }, text: { $exists: true } }, order: '-i', limit: 20, include: 'who' });
            assert.equal(status, 200, JSON.stringify(body));
          }
        }
      }

      await Promise.all(Array.from({ length: workers }, async (_, w) => {
        const pick = random(w + 1);
        for (let i = 0; Date.now() < deadline; i++) {
          const c = pick(2) ? ps : pg;
          counted.requests++;
          try {
            await step(w, i, pick, c);
          } catch (err) {
            // A row of another worker may be gone already.
            if (!/Row.*"code":101/.test(err.message)) counted.failed.push(err.message);
          }
        }
      }));
      assert.deepEqual(counted.failed, [], `${counted.requests} requests; ${servers[1].log().split('\n').filter((l) => /level=ERROR/.test(l)).join('\n')}`);

      const c = new Comparison(ps, pg);
      await until(room, async () => {
        const [a, b] = await Promise.all([ps, pg].map((x) => x.get('/schemas')));
        return JSON.stringify([a, b].map((x) => x.results.map((s) => `${s.className} ${Object.keys(s.fields).sort()}`).sort()));
      }, (both) => { const [a, b] = JSON.parse(both); return a.join() === b.join(); });
      await everything(c, kind.name);
      await asSeenBy(c, 'M', tokens);
      assert.deepEqual(c.lines, [], `of ${c.asked} answers`);

      const one = await pg.get('/classes/Counter/one');
      assert.equal(one.n, counted.sum, 'increments');
      assert.deepEqual(new Set(one.tags), counted.tags);
      const rows = new Set();
      for (let skip = 0; ; skip += 1000) {
        const { results } = (await pg.find('Row', { limit: 1000, skip, order: 'objectId', keys: 'objectId' })).body;
        for (const r of results) rows.add(r.objectId);
        if (results.length < 1000) break;
      }
      assert.deepEqual(rows, new Set([...counted.rows].filter((id) => !counted.gone.has(id))));
      const members = await ps.find('_Join:members:Counter', { limit: 1000 });
      if (members.status === 200) assert.equal(members.body.results.length, Math.min(1000, counted.members.size));
      console.log(`# ${counted.requests} requests of ${workers} workers on ${kind.name}, ${c.asked} answers compared`);
    });
  });
}
