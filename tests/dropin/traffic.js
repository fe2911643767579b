// Mixed traffic of several workers through two servers on one database, and what
// must be there when it is over.
import assert from 'node:assert/strict';

import { room } from './servers.js';
import { create, login, names, nested, until } from './world.js';

const pointer = (className, objectId) => ({ __type: 'Pointer', className, objectId });
const add = (...objects) => ({ __op: 'AddRelation', objects });
const drop = (...objects) => ({ __op: 'RemoveRelation', objects });

// random is a generator with a seed, so that a run can be made again.
function random(seed) {
  let s = seed;
  return (n) => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return Math.floor((s / 2 ** 32) * n);
  };
}

// What a class lets everybody do; `create` is taken away and given back.
const open = { find: { '*': true }, get: { '*': true }, count: { '*': true }, create: { '*': true }, update: { '*': true }, delete: { '*': true }, addField: { '*': true } };

// Traffic sends requests by either of two clients. Objects that all workers
// change are counted on; of those that belong to one worker every value is known.
export class Traffic {
  requests = 0;
  failed = [];
  done = {}; // how often each kind of step was taken
  sum = 0;
  appended = new Set();
  tags = new Set();
  rows = new Set();
  gone = new Set();
  own = new Map(); // by objectId: the fields that are known
  fans = new Map(); // by worker: the members of a relation of its own
  editors = new Map(); // by worker: the users of a role of its own

  constructor(one, other, workers) {
    Object.assign(this, { clients: [one, other], workers, n: names('M') });
  }

  // begin makes what the workers share.
  async begin() {
    const [one, other] = this.clients;
    this.tokens = await create(one, 'M');
    await one.post('/classes/Counter', { objectId: 'one', n: 0, list: [], tags: [] });
    for (let w = 0; w < this.workers; w++) {
      await one.post('/classes/Fans', { objectId: `fans${w}`, fans: add(pointer('_User', this.n.id('ann'))) });
      this.fans.set(w, new Set([this.n.id('ann')]));
      await one.post('/roles', { objectId: `role${w}`, name: `role${w}`, ACL: { '*': { read: true } } });
      this.editors.set(w, new Set());
    }
    for (const className of ['Row', 'Own', 'Ruled']) await one.post(`/schemas/${className}`, { className, fields: { a: { type: 'String' }, b: { type: 'Number' } }, classLevelPermissions: open });
    await until(room, () => other.send('GET', '/schemas/Ruled'), (a) => a.status === 200);
  }

  // run keeps all workers at work for a time.
  async run(seconds) {
    const deadline = Date.now() + seconds * 1000;
    await Promise.all(Array.from({ length: this.workers }, async (_, w) => {
      const pick = random(w + 1);
      for (let i = 0; Date.now() < deadline; i++) {
        const c = this.clients[pick(2)];
        // Rules of a class are changed by one worker, which waits for both to know them.
        const name = w === 0 && i % 40 === 20 ? 'rules' : mix[pick(mix.length)];
        this.requests++;
        this.done[name] = (this.done[name] ?? 0) + 1;
        try {
          await steps[name](this, { w, i, id: `m${w}-${i}`, pick, c, other: this.clients.find((o) => o !== c) });
        } catch (err) {
          // A row of another worker may be gone already.
          if (!/classes\/Row\/.*"code":101/.test(err.message)) this.failed.push(`${name} by ${c.name}: ${err.message}`);
        }
      }
    }));
  }

  // check reads through a client all that must be there.
  async check(c) {
    const one = await c.get('/classes/Counter/one');
    assert.equal(one.n, this.sum, 'increments');
    assert.deepEqual(new Set(one.tags), this.tags);
    assert.equal(one.tags.length, this.tags.size);
    assert.deepEqual([...one.list].sort(), [...this.appended].sort());
    const ids = async (className, where) => {
      const found = new Map();
      for (let skip = 0; ; skip += 1000) {
        const { results } = (await c.find(className, { where, limit: 1000, skip, order: 'objectId' })).body;
        for (const r of results) found.set(r.objectId, r);
        if (results.length < 1000) return found;
      }
    };
    assert.deepEqual(new Set((await ids('Row')).keys()), new Set([...this.rows].filter((id) => !this.gone.has(id))));
    const own = await ids('Own');
    assert.deepEqual([...own.keys()].sort(), [...this.own.keys()].sort());
    for (const [id, known] of this.own) {
      const object = own.get(id);
      assert.deepEqual(Object.fromEntries(Object.keys(known).map((k) => [k, object[k]])), known, id);
    }
    for (let w = 0; w < this.workers; w++) {
      const related = (className, objectId, key) => ids('_User', { $relatedTo: { object: pointer(className, objectId), key } });
      assert.deepEqual(new Set((await related('Fans', `fans${w}`, 'fans')).keys()), this.fans.get(w), `fans of ${w}`);
      assert.deepEqual(new Set((await related('_Role', `role${w}`, 'users')).keys()), this.editors.get(w), `users of role ${w}`);
    }
  }
}

// latest is an object of this worker alone, undefined if it has none.
const latest = (t, { w, pick }) => {
  const mine = [...t.own.keys()].filter((id) => id.startsWith(`m${w}-`)).slice(-8);
  return mine[pick(mine.length)];
};

// change updates an object of this worker alone: by body, whose outcome is known.
async function change(t, s, body, known) {
  const id = latest(t, s);
  if (!id) return;
  const before = t.own.get(id);
  await s.c.put(`/classes/Own/${id}`, typeof body === 'function' ? body(before) : body);
  t.own.set(id, { ...before, ...known(structuredClone(before)) });
}

const steps = {
  async increment(t, { pick, c }) {
    const amount = 1 + pick(3);
    await c.put('/classes/Counter/one', { n: { __op: 'Increment', amount } });
    t.sum += amount;
  },
  async append(t, { c, id }) {
    await c.put('/classes/Counter/one', { list: { __op: 'Add', objects: [id] } });
    t.appended.add(id);
  },
  async tag(t, { c, id }) {
    await c.put('/classes/Counter/one', { tags: { __op: 'AddUnique', objects: [id] } });
    t.tags.add(id);
  },
  async row(t, { w, i, id, pick, c }) {
    await c.post('/classes/Row', {
      objectId: id, w, i, text: `row ${i}`, when: { __type: 'Date', iso: new Date(1.6e12 + i).toISOString() },
      where: { __type: 'GeoPoint', latitude: pick(90), longitude: pick(180) }, who: pointer('_User', t.n.id('ann')), data: { a: [i, null, { b: w }] },
    });
    t.rows.add(id);
  },
  async 'row of anybody'(t, { pick, c }) {
    const [row] = [...t.rows].slice(-1 - pick(5));
    if (row) await c.put(`/classes/Row/${row}`, { text: `by ${c.name}`, seen: { __op: 'Increment', amount: 1 }, 'data.by': c.name, who: pick(2) ? null : pointer('_User', t.n.id('bob')) });
  },
  async 'delete a row'(t, { w, i, pick, c }) {
    const row = `m${w}-${pick(i + 1)}`; // rows of this worker alone
    if (!t.rows.has(row) || t.gone.has(row)) return;
    await c.delete(`/classes/Row/${row}`);
    t.gone.add(row);
  },
  async find(t, { w, c }) {
    const { status, body } = await c.find('Row', { where: { w: { $lte: w }, text: { $exists: true } }, order: '-i', limit: 20, include: 'who' });
    assert.equal(status, 200, JSON.stringify(body));
  },
  async batch(t, { c, id, w, i }) {
    const parts = ['x', 'y', 'z'].map((p) => `${id}${p}`);
    const request = (method, path, body) => ({ method, path: `/parse/classes/${path}`, body });
    const answers = await c.post('/batch', {
      requests: [
        ...parts.map((p) => request('POST', 'Row', { objectId: p, w, i, text: 'of a batch' })),
        request('POST', 'Counter', { objectId: 'one' }),
        request('PUT', 'Counter/one', { n: { __op: 'Increment', amount: 1 } }),
      ],
    });
    const failed = answers.map((a) => a.error?.code);
    assert.deepEqual(failed, [undefined, undefined, undefined, 137, undefined], JSON.stringify(answers));
    t.sum++;
    for (const p of parts) t.rows.add(p);
    const [last] = await c.post('/batch', { requests: [request('DELETE', `Row/${parts[2]}`)] });
    assert.ok(last.success, JSON.stringify(last));
    t.gone.add(parts[2]);
  },

  // Objects of one worker, each in all types of values.
  async own(t, { id, i, w, c }) {
    const body = {
      text: `tëxt ${i} 𝄞`, number: i + 0.5, flag: i % 2 === 0, when: { __type: 'Date', iso: new Date(1.5e12 + i).toISOString() },
      list: [w, 'two', null, { three: 3 }], object: { n: 0, ключ: 'Wert', 名: ['値'], sub: { a: 1 } }, free: nested(t.n, id), place: { __type: 'GeoPoint', latitude: 1.25, longitude: -2.5 },
      area: { __type: 'Polygon', coordinates: [[0, 0], [0, 1], [1, 1], [0, 0]] }, who: pointer('_User', t.n.id('cat')), data: { __type: 'Bytes', base64: 'AAECAwQ=' },
    };
    await c.post('/classes/Own', { objectId: id, ...body });
    const { free, ...known } = body; // Parse Server on MongoDB answers Bytes inside of an Object in its own way
    t.own.set(id, known);
  },
  dotted(t, s) {
    const deep = s.c.kind === 'mongodb' || s.c.name === 'pargo'; // Parse Server on PostgreSQL puts what is deeper in place of all beside it
    return change(
      t, s, { 'object.n': { __op: 'Increment', amount: 2 }, [deep ? 'object.sub.b' : 'object.by']: s.c.name, 'object.ключ': { __op: 'Delete' } },
      ({ object: { ключ, ...o } }) => ({ object: { ...o, n: o.n + 2, ...(deep ? { sub: { ...o.sub, b: s.c.name } } : { by: s.c.name }) } }),
    );
  },
  'take from a list': (t, s) => change(t, s, { list: { __op: 'Remove', objects: ['two', { three: 3 }] } }, ({ list }) => ({ list: list.filter((el) => el !== 'two' && el?.three !== 3) })),
  'give to a list': (t, s) => change(t, s, { list: [s.i] }, () => ({ list: [s.i] })),
  values: (t, s) => change(t, s, { text: 'new', number: { __op: 'Increment', amount: -1 }, flag: { __op: 'Delete' }, next: pointer('Own', s.id), when: { __type: 'Date', iso: new Date(1e12 + s.i).toISOString() } }, ({ number }) => ({
    text: 'new', number: number - 1, flag: undefined, next: pointer('Own', s.id), when: { __type: 'Date', iso: new Date(1e12 + s.i).toISOString() },
  })),
  async permissions(t, s) {
    const { ann, bob } = { ann: t.n.id('ann'), bob: t.n.id('bob') };
    const ACL = { [ann]: { read: true, write: true }, ...(s.pick(2) ? { [bob]: { read: true } } : {}), [`role:role${s.w}`]: { read: true } };
    const id = latest(t, s);
    if (!id) return;
    await s.c.put(`/classes/Own/${id}`, { ACL });
    t.own.set(id, { ...t.own.get(id), ACL });
    const status = async (token) => (await s.other.as(token).send('GET', `/classes/Own/${id}`)).status;
    assert.deepEqual([await status(t.tokens[t.n.ann]), await status(t.tokens[t.n.bob]), await status(null)], [200, ACL[bob] ? 200 : 404, 404], `read by ${s.other.name}`);
  },

  async fans(t, { w, pick, c }) {
    const members = t.fans.get(w);
    const user = t.n.id(['ann', 'bob', 'cat', 'anon'][pick(4)]);
    const had = members.has(user);
    await c.put(`/classes/Fans/fans${w}`, { fans: (had ? drop : add)(pointer('_User', user)) });
    if (had) members.delete(user); else members.add(user);
  },
  async editors(t, { w, pick, c }) {
    const members = t.editors.get(w);
    const user = t.n.id(['ann', 'cat', 'anon'][pick(3)]); // bob reads what he may himself
    const had = members.has(user);
    await c.put(`/roles/role${w}`, { users: (had ? drop : add)(pointer('_User', user)) });
    if (had) members.delete(user); else members.add(user);
  },
  async session(t, { pick, c, other }) {
    const token = await login(c, t.n.bob);
    const me = () => other.as(token).send('GET', '/users/me');
    assert.equal((await me()).body.username, t.n.bob);
    if (pick(2)) return;
    await (pick(2) ? c : other).as(token).post('/logout');
    if (pick(4) === 0) await until(room, me, (a) => a.body.code === 209);
  },
  async user(t, { id, pick, c, other }) {
    const username = `Üser ${id} 名前`;
    const { objectId, sessionToken } = await c.as(null).post('/users', { objectId: `u${id}`, username, password: 'Secret-1', email: `${id}@example.com` });
    assert.equal((await other.as(sessionToken).get('/users/me')).username, username);
    assert.equal((await other.as(null).send('POST', '/users', { username: username.toUpperCase(), password: 'x' })).body.code, 202);
    await other.as(sessionToken).put(`/users/${objectId}`, { phone: id });
    if (pick(4) === 0) {
      await other.delete(`/users/${objectId}`);
      assert.equal((await c.as(null).send('POST', '/login', { username, password: 'Secret-1' })).body.code, 101);
    }
  },
  // A class and its field come into being on either server.
  async class(t, { id, i, pick, c }) {
    await c.post(`/classes/Made${pick(4)}`, { objectId: id, [`f${pick(6)}`]: i });
  },
  async rules(t, { i, w, c, other }) {
    const closed = { ...open, create: {}, delete: { 'role:role0': true }, protectedFields: { '*': ['b'] } };
    const all = () => other.as(null).send('POST', '/classes/Ruled', { a: 'x' });
    await c.put('/schemas/Ruled', { className: 'Ruled', classLevelPermissions: closed });
    await until(room, all, (a) => a.body.code === 119);
    const index = `ruled${w}_${i}`;
    await other.put('/schemas/Ruled', { className: 'Ruled', classLevelPermissions: open, indexes: { [index]: { b: 1, a: -1 } } });
    await until(room, () => c.send('GET', '/schemas/Ruled'), (a) => a.body.indexes?.[index] && a.body.classLevelPermissions.create['*']);
    await c.put('/schemas/Ruled', { className: 'Ruled', indexes: { [index]: { __op: 'Delete' } } });
    await until(room, () => other.send('GET', '/schemas/Ruled'), (a) => !a.body.indexes?.[index]);
  },
};

// How often each step is taken beside the others.
const mix = Object.entries({
  increment: 3, append: 1, tag: 2, row: 4, 'row of anybody': 3, 'delete a row': 2, find: 3, batch: 1, own: 3, dotted: 3, 'take from a list': 1,
  'give to a list': 1, values: 2, permissions: 1, fans: 2, editors: 1, session: 1, user: 1, class: 2,
}).flatMap(([name, n]) => Array(n).fill(name));
