// Asks both servers the same and tells where their answers differ.
import { isDeepStrictEqual } from 'node:util';

import { ownIndex } from './known.js';
import { names } from './world.js';

// canonical has the keys of all objects in order: neither server promises one.
// The URL of a file has the name of the server.
export function canonical(v) {
  if (Array.isArray(v)) return v.map(canonical);
  if (v === null || typeof v !== 'object') return v;
  return Object.fromEntries(Object.keys(v).sort().filter((k) => k !== 'url' || v.__type !== 'File').map((k) => [k, canonical(v[k])]));
}

// paths lists where two values differ.
function* paths(a, b, at) {
  const both = a !== null && b !== null && typeof a === 'object' && typeof b === 'object' && Array.isArray(a) === Array.isArray(b);
  if (!both) {
    if (!isDeepStrictEqual(a, b)) yield `${at}: ${JSON.stringify(a)} and ${JSON.stringify(b)}`;
    return;
  }
  for (const k of new Set([...Object.keys(a), ...Object.keys(b)])) yield* paths(a[k], b[k], `${at}.${k}`);
}

// Comparison collects the differences between the answers of two clients.
export class Comparison {
  lines = [];
  asked = 0;

  constructor(left, right) { Object.assign(this, { left, right }); }

  // same sends one request to both, which must only read.
  async same(what, ask, { token = true, headers = {}, prepare = (body) => body, inTurn = false } = {}) {
    const first = ask(this.left.as(token, headers));
    if (inTurn) await first;
    const [a, b] = await Promise.all([first, ask(this.right.as(token, headers))]);
    this.asked++;
    const left = canonical({ status: a.status, body: prepare(a.body) });
    const right = canonical({ status: b.status, body: prepare(b.body) });
    for (const line of paths(left, right, what)) this.lines.push(line);
    return a;
  }

  get(route, o) { return this.same(`GET ${route}`, (c) => c.send('GET', route), o); }

  find(className, parameters, o) {
    return this.same(`find ${className} ${JSON.stringify(parameters)}`, (c) => c.find(className, parameters), o);
  }
}

// The classes that no schema tells of, though they may have objects.
const volatile = ['_Hooks', '_GlobalConfig', '_JobStatus', '_JobSchedule', '_Audience', '_PushStatus'];

const text = (v) => JSON.stringify(canonical(v));
const inOrder = (list) => (Array.isArray(list) ? [...list].sort((a, b) => (text(a) < text(b) ? -1 : 1)) : list);

const schemas = (kind) => (body) => {
  const list = body.results.map(({ indexOptions, ...c }) => { // indexOptions are pargo's own
    // On PostgreSQL, Parse Server does not tell of the indexes of system classes.
    const told = kind === 'postgresql' && c.className.startsWith('_') ? {} : c.indexes ?? {};
    const indexes = Object.fromEntries(Object.entries(told).filter(([name]) => !ownIndex.test(name))
      .map(([name, index]) => [name, Object.fromEntries(Object.entries(index).map(([k, v]) => [k.replace(/^_p_/, ''), v]))]));
    const fields = Object.fromEntries(Object.entries(c.fields).map(([name, { required, ...f }]) => [name, required ? { required, ...f } : f]));
    return { ...c, fields, indexes };
  });
  return { results: inOrder(list) };
};

// everything compares all objects of all classes, the schemas, and what else
// the master key may read.
export async function everything(c, kind) {
  const { body } = await c.get('/schemas', { prepare: schemas(kind) });
  for (const { className, fields } of body.results) {
    if (className === '_Idempotency') continue;
    const pointers = Object.keys(fields).filter((f) => /Pointer|Array/.test(fields[f].type));
    for (let skip = 0; ; skip += 1000) {
      const page = await c.find(className, { skip, limit: 1000, order: 'objectId', ...(pointers.length ? { include: pointers.join() } : {}) });
      if ((page.body.results ?? []).length < 1000) break;
    }
    await c.find(className, { where: { objectId: { $exists: true } }, limit: 0, count: 1 }); // without a condition Parse Server estimates
    for (const f of Object.keys(fields).filter((f) => fields[f].type === 'Relation')) {
      const all = await c.left.find(className, { limit: 1000, keys: 'objectId' });
      for (const { objectId } of all.body.results) {
        await c.find(fields[f].targetClass, { where: { $relatedTo: { object: { __type: 'Pointer', className, objectId }, key: f } }, order: 'objectId' });
      }
    }
  }
  for (const className of volatile) {
    // The table of hooks has no ids to sort by on PostgreSQL.
    const order = className === '_Hooks' ? {} : { order: 'objectId' };
    await c.find(className, { limit: 1000, ...order }, { prepare: volatileRow });
  }
  await c.get('/config');
  await c.get('/hooks/functions', { prepare: inOrder });
  await c.get('/hooks/triggers', { prepare: inOrder });
  await c.get('/sessions?limit=1000&order=objectId');
  await c.get('/installations?order=objectId');
  await c.get('/roles?order=objectId');
  await c.get('/push_audiences?order=objectId');
}

// Hooks and config have neither dates nor ids in Parse Server.
function volatileRow(body) {
  return inOrder(body?.results?.map(({ createdAt, updatedAt, objectId, ...rest }) => rest) ?? body);
}

const pointer = (className, objectId) => ({ __type: 'Pointer', className, objectId });

// asSeenBy compares what the users of a world see.
export async function asSeenBy(c, tag, tokens) {
  const n = names(tag);
  for (const token of [null, ...Object.values(tokens)]) {
    for (const className of [n.all, n.first, n.guarded, n.strict, n.spare, '_User', '_Role', '_Session', '_Installation']) {
      await c.find(className, { order: 'objectId' }, { token });
    }
    for (const id of ['g1', 'g2', 'g3', 'g4']) await c.get(`/classes/${n.guarded}/${n.id(id)}`, { token });
    for (const id of ['a', 'b', 'c', 'e']) await c.get(`/classes/${n.all}/${n.id(id)}`, { token });
    await c.get('/users/me', { token });
    await c.get('/sessions/me', { token });
    await c.get(`/users/${n.id('ann')}`, { token });
    await c.get('/config', { token });
    await c.find(n.guarded, { where: { hidden: 'hidden ann' } }, { token });
    await c.find(n.guarded, { count: 1, limit: 0 }, { token });
  }
}

// different tells of the conditions that Parse Server serves in another way on
// PostgreSQL than on MongoDB; pargo has one meaning for all databases.
// docs/compatibility.md lists them.
function different(where) {
  return /"\$nin"|"\$notInQuery"|"\$nor"|"\$centerSphere"|^{"list":2}|^{"data":|^{"object.who":/.test(JSON.stringify(where));
}

// queries compares finds of each kind on the world of a tag.
export async function queries(c, tag, kind) {
  const n = names(tag);
  const postgres = kind === 'postgresql';
  const wheres = [
    { number: 1 }, { number: { $gt: 0, $lte: 9007199254740991 } }, { number: { $in: [0, 1, -1.25] } }, { number: { $nin: [0, 1] } }, { number: { $ne: 0 } },
    { number: { $exists: false } }, { number: { $exists: true } }, { text: null }, { text: { $exists: true } }, { text: { $ne: null } }, { text: { $regex: '^a "' } },
    { text: { $regex: 'LAST', $options: 'i' } }, { text: '' }, { text: { $gte: 'b' } },
    { when: { $lt: { __type: 'Date', iso: '1970-01-01T00:00:00.000Z' } } }, { when: { __type: 'Date', iso: '2020-01-01T00:00:00.000Z' } },
    { list: 2 }, { list: { $all: [1, 2] } }, { list: { $in: ['x', 3] } }, { list: pointer(n.all, n.id('a')) }, { list: { $all: [pointer('_User', n.id('ann'))] } },
    { 'object.tag': tag }, { 'object.int': { $gt: 6 } }, { 'object.who': pointer('_User', n.id('ann')) }, { 'object.yes': true },
    { who: pointer('_User', n.id('ann')) }, { who: { $in: [pointer('_User', n.id('ann')), pointer('_User', n.id('bob'))] } }, { who: null }, { who: { $ne: pointer('_User', n.id('ann')) } },
    { who: { $inQuery: { className: '_User', where: { username: n.ann } } } }, { who: { $notInQuery: { className: '_User', where: { username: n.ann } } } },
    { text: { $select: { key: 'text', query: { className: n.first, where: {} } } } },
    { fans: pointer('_User', n.id('bob')) }, { fans: { $in: [pointer('_User', n.id('ann')), pointer('_User', n.id('cat'))] } },
    { place: { $within: { $box: [{ __type: 'GeoPoint', latitude: -89, longitude: -179 }, { __type: 'GeoPoint', latitude: 89, longitude: 179 }] } } },
    { place: { $geoWithin: { $centerSphere: [{ __type: 'GeoPoint', latitude: 40, longitude: -30 }, 0.1] } } },
    { area: { $geoIntersects: { $point: { __type: 'GeoPoint', latitude: 5, longitude: 5 } } } },
    { $or: [{ number: 1 }, { text: 'last' }] }, { $and: [{ number: { $gt: 0 } }, { text: { $exists: true } }] }, { $nor: [{ number: 1 }, { text: 'last' }] },
    { objectId: { $in: [n.id('a'), n.id('zz')] } }, { data: { __type: 'Bytes', base64: 'AAECAwQ=' } }, { createdAt: { $gt: { __type: 'Date', iso: '2020-01-01T00:00:00.000Z' } } },
    { ACL: { $exists: true } },
  ];
  for (const where of wheres) {
    if (postgres && different(where)) continue;
    await c.find(n.all, { where, order: 'objectId' });
    await c.find(n.all, { where, count: 1, limit: 0 });
  }
  // Parse Server sorts objects without a value last on PostgreSQL.
  const some = postgres ? { number: { $exists: true }, text: { $exists: true }, when: { $exists: true } } : {};
  for (const order of ['number,objectId', '-number,objectId', 'text,objectId', '-when,objectId', '-createdAt,objectId']) await c.find(n.all, { order, where: some });
  // Of a Pointer that was created as null, Parse Server does not tell if it is asked for keys.
  const nothing = { prepare: (body) => ({ results: body.results.map(({ who, ...rest }) => (who === null ? rest : { who, ...rest })) }) };
  await c.find(n.all, { order: 'objectId', keys: 'text,who.username', include: 'who' }, nothing);
  await c.find(n.all, { order: 'objectId', excludeKeys: 'object,list' }, nothing);
  await c.find(n.all, { order: 'objectId', include: '*' });
  await c.find(n.first, { order: 'objectId', include: 'who.who' });
  await c.find(n.all, { order: 'objectId', skip: 2, limit: 3 });
  if (!postgres) await onMongo(c, n);
  await c.find('_User', { where: { username: n.ann } });
  await c.find('_User', { where: { email: `${n.ann}@example.com` } });
  await c.find('_Role', { where: { users: pointer('_User', n.id('bob')) } });
  await c.find('_Role', { where: { roles: pointer('_Role', n.id('staff')) } });
}

// onMongo compares what Parse Server serves on PostgreSQL in part, or with PostGIS.
async function onMongo(c, n) {
  // The first search makes an index: pargo's, since FerretDB does not know all options of the other.
  await c.right.find(n.all, { where: { text: { $text: { $search: { $term: 'changed' } } } } });
  for (const $term of ['changed', 'more null -last']) {
    await c.find(n.all, { where: { text: { $text: { $search: { $term } } } }, order: 'objectId' });
  }
  const here = { __type: 'GeoPoint', latitude: 30, longitude: -20 };
  for (const distance of [{}, { $maxDistanceInKilometers: 3000 }]) {
    await c.find(n.all, { where: { place: { $nearSphere: here, ...distance } } }, { inTurn: true });
  }
  await c.get(`/aggregate/${n.all}?distinct=number`, { prepare: (b) => ({ results: [...(b.results ?? [])].sort() }) });
  await c.get(`/aggregate/${n.all}?$group={"_id":"$who","n":{"$sum":"$number"}}&$sort={"_id":1}`);
  await c.get(`/aggregate/${n.all}?$match={"number":{"$gt":0}}&$project={"text":1,"number":1}&$sort={"_id":1}`);
}
