// What an application does to its database, in requests that either server can
// serve. Names and ids follow from a tag, so that the same requests can be made
// twice on one database, or by two servers on two.
import assert from 'node:assert/strict';

const pointer = (className, objectId) => ({ __type: 'Pointer', className, objectId });
const date = (iso) => ({ __type: 'Date', iso });
const geo = (latitude, longitude) => ({ __type: 'GeoPoint', latitude, longitude });
const bytes = (base64) => ({ __type: 'Bytes', base64 });
const polygon = (...coordinates) => ({ __type: 'Polygon', coordinates });
const file = (name) => ({ __type: 'File', name });
const add = (...objects) => ({ __op: 'AddRelation', objects });
const drop = (...objects) => ({ __op: 'RemoveRelation', objects });
const gone = { __op: 'Delete' };

export const names = (tag) => ({
  all: `All${tag}`, first: `First${tag}`, guarded: `Guarded${tag}`, strict: `Strict${tag}`, spare: `Spare${tag}`,
  ann: `ann${tag}`, bob: `bob${tag}`, cat: `cat${tag}`, editors: `editors${tag}`, staff: `staff${tag}`,
  // Parse Server makes one index of a name in the whole of a PostgreSQL database.
  byNumber: `byNumber${tag}`, byWho: `byWho${tag}`, byText: `byText${tag}`,
  id: (n) => `${n}-${tag}`,
});

// A pointer in each place where one can stand, and the other values that are
// more than JSON.
export const nested = (n, tag) => ({
  text: 'tëxt 𝄞', number: 1.5, int: 7, big: 9007199254740991, no: null, yes: true, list: [1, 'two', null, [3], { four: 4 }],
  when: date('2021-02-03T04:05:06.789Z'), where: geo(10.5, -20.25), data: bytes('aGVsbG8='), who: pointer('_User', n.id('ann')),
  deep: { er: { still: [pointer(n.all, n.id('a')), date('1969-12-31T23:59:59.999Z')] } }, empty: {}, none: [], tag,
});

// values has each type of field in many of its values.
export function values(n, tag) {
  return [
    {
      objectId: n.id('a'), text: 'plain', number: 1, flag: true, when: date('2020-01-01T00:00:00.000Z'), list: [1, 2, 3],
      object: nested(n, tag), place: geo(40, -30), area: polygon([0, 0], [0, 10], [10, 10], [10, 0]), who: pointer('_User', n.id('ann')),
      data: bytes('AAECAwQ='), image: file('one.png'), fans: add(pointer('_User', n.id('ann')), pointer('_User', n.id('bob'))),
    },
    {
      objectId: n.id('b'), text: '', number: 0, flag: false, when: date('1900-06-07T08:09:10.011Z'), list: [],
      object: {}, place: geo(-90, 180), area: polygon([1.5, 2.5], [3.5, 4.5], [5, -6], [1.5, 2.5]), data: bytes('////'), image: file('two words.png'),
      who: pointer('_User', n.id('bob')), ACL: { '*': { read: true }, [n.id('ann')]: { read: true, write: true }, [`role:${n.editors}`]: { write: true } },
    },
    {
      objectId: n.id('c'), text: 'a "quoted" \\ line\nbreak\t€ 𝄞 \u0001', number: -1.25, list: [pointer(n.all, n.id('a')), pointer('_User', n.id('ann')), null, 'x', { y: [1] }, date('2020-05-05T05:05:05.005Z'), geo(1, 2), bytes('eA==')],
      object: { z: 1, a: { __type: 'Object', free: true }, 10: 'ten', 2: 'two' }, ACL: {},
    },
    { objectId: n.id('d'), number: 9007199254740991, text: null, flag: null, when: null, list: null, object: null, place: null, who: null, data: null },
    { objectId: n.id('e'), number: 1e300, text: 'last', ACL: { [n.id('bob')]: { read: true, write: true } } },
    { objectId: n.id('f'), number: 5e-324, text: '$dollar.dot' },
    { objectId: n.id('g'), number: 2147483648, text: 'int32 + 1', list: [2147483648, -2147483649, 4294967296, 0.1, -0.5] },
    { objectId: n.id('h'), number: -2147483648, text: 'least int32' },
    { objectId: n.id('i') },
  ];
}

export const password = (name) => `Secret-${name}-1`;

// login answers a new session token.
export const login = async (c, name, word = password(name)) => (await c.as(null).post('/login', { username: name, password: word })).sessionToken;

// create makes everything that a world has, and answers the sessions of it.
export async function create(c, tag) {
  const n = names(tag);
  const tokens = {};
  for (const [name, more] of [
    [n.ann, { objectId: n.id('ann'), email: `${n.ann}@example.com`, phone: '1', extra: { when: date('2020-01-01T00:00:00.000Z') } }],
    [n.bob, { objectId: n.id('bob'), email: `${n.bob}@Example.com` }],
    [n.cat, { objectId: n.id('cat') }],
  ]) {
    const user = await c.as(null, { 'X-Parse-Installation-Id': `inst-${name}` }).post('/users', { username: name, password: password(name), ...more });
    tokens[name] = user.sessionToken;
  }
  const anonymous = await c.as(null).post('/users', { objectId: n.id('anon'), authData: { anonymous: { id: `anon-${tag}` } } });
  tokens.anonymous = anonymous.sessionToken;
  tokens.again = await login(c, n.ann);

  await c.post('/roles', { objectId: n.id('staff'), name: n.staff, ACL: { '*': { read: true } }, users: add(pointer('_User', n.id('bob'))) });
  await c.post('/roles', {
    objectId: n.id('editors'), name: n.editors, ACL: { '*': { read: true }, [n.id('ann')]: { write: true } },
    users: add(pointer('_User', n.id('ann'))), roles: add(pointer('_Role', n.id('staff'))),
  });

  await c.post(`/schemas/${n.all}`, {
    className: n.all,
    fields: {
      text: { type: 'String' }, number: { type: 'Number' }, flag: { type: 'Boolean' }, when: { type: 'Date' }, list: { type: 'Array' },
      object: { type: 'Object' }, place: { type: 'GeoPoint' }, area: { type: 'Polygon' }, who: { type: 'Pointer', targetClass: '_User' },
      fans: { type: 'Relation', targetClass: '_User' }, data: { type: 'Bytes' }, image: { type: 'File' },
    },
  });
  // By themselves: with a new class, Parse Server records indexes on PostgreSQL without making them.
  await c.put(`/schemas/${n.all}`, { className: n.all, indexes: { [n.byNumber]: { number: 1, text: -1 }, [n.byWho]: { [c.kind === 'mongodb' ? '_p_who' : 'who']: 1 } } });
  for (const value of values(n, tag)) await c.post(`/classes/${n.all}`, value);

  await c.post(`/schemas/${n.strict}`, {
    className: n.strict,
    fields: {
      must: { type: 'String', required: true }, number: { type: 'Number', defaultValue: 5 }, when: { type: 'Date', defaultValue: date('2020-02-02T02:02:02.002Z') },
      who: { type: 'Pointer', targetClass: '_User', required: false }, list: { type: 'Array', required: true, defaultValue: ['a', { b: 1 }] },
      object: { type: 'Object', defaultValue: { a: { b: [1] } } }, flag: { type: 'Boolean', defaultValue: false }, text: { type: 'String', defaultValue: '' },
    },
  });
  await c.post(`/classes/${n.strict}`, { objectId: n.id('s1'), must: 'be' });
  await c.post(`/classes/${n.strict}`, { objectId: n.id('s2'), must: 's', number: 0, list: [], object: {}, flag: true, text: 'set' });

  await c.post(`/schemas/${n.guarded}`, {
    className: n.guarded,
    fields: { owner: { type: 'Pointer', targetClass: '_User' }, readers: { type: 'Array' }, open: { type: 'String' }, hidden: { type: 'String' }, team: { type: 'Number' } },
    classLevelPermissions: {
      find: { '*': true }, get: { '*': true, pointerFields: ['owner'] }, count: { requiresAuthentication: true }, create: { [`role:${n.editors}`]: true },
      update: { [n.id('ann')]: true, pointerFields: ['owner'] }, delete: {}, addField: {}, readUserFields: ['owner', 'readers'], writeUserFields: ['owner'],
      protectedFields: { '*': ['hidden', 'team'], authenticated: ['hidden'], [`role:${n.editors}`]: ['team'], 'userField:owner': [] },
    },
  });
  for (const [id, who] of [['g1', 'ann'], ['g2', 'bob'], ['g3', 'cat']]) {
    await c.post(`/classes/${n.guarded}`, {
      objectId: n.id(id), owner: pointer('_User', n.id(who)), readers: [pointer('_User', n.id('cat'))], open: `open ${who}`, hidden: `hidden ${who}`, team: 3,
    });
  }
  await c.as(tokens[n.ann]).post(`/classes/${n.guarded}`, { objectId: n.id('g4'), owner: pointer('_User', n.id('ann')), open: 'by a role', hidden: 'h' });

  // A class and its fields by being written to, by a client.
  await c.as(tokens[n.bob]).post(`/classes/${n.first}`, { objectId: n.id('f1'), text: 'x', number: 3, when: date('2020-03-03T03:03:03.003Z'), list: ['a'], object: { k: 1 }, place: geo(1, 2), who: pointer(n.all, n.id('a')), data: bytes('eA==') });
  await c.as(tokens[n.bob]).put(`/classes/${n.first}/${n.id('f1')}`, { later: 'yes', fans: add(pointer(n.all, n.id('a')), pointer(n.all, n.id('b'))), area: polygon([0, 0], [0, 1], [1, 1]), image: file('f.bin') });
  await c.as(null).post(`/classes/${n.first}`, { objectId: n.id('f2'), text: 'y', ACL: { '*': { read: true, write: true } } });

  await c.post(`/schemas/${n.spare}`, { className: n.spare, fields: { a: { type: 'String' }, b: { type: 'Relation', targetClass: n.all }, c: { type: 'Pointer', targetClass: n.all } } });

  await c.post('/installations', { objectId: n.id('inst'), installationId: `dev-${tag}`, deviceType: 'ios', deviceToken: `token-${tag}`, channels: ['a', 'b'], badge: 2, appVersion: '1.0' });
  await c.as(tokens[n.ann], { 'X-Parse-Installation-Id': `web-${tag}` }).post('/installations', { objectId: n.id('web'), installationId: `web-${tag}`, deviceType: 'android' });
  await c.put('/config', {
    params: { [`greeting${tag}`]: 'hello', [`limits${tag}`]: { max: 5, list: [1, 2] }, [`when${tag}`]: date('2020-04-04T04:04:04.004Z'), [`where${tag}`]: geo(3, 4), [`secret${tag}`]: 'x' },
    masterKeyOnly: { [`secret${tag}`]: true },
  });
  await c.post('/hooks/functions', { functionName: `fn${tag}`, url: 'https://example.com/fn' });
  await c.post('/hooks/triggers', { className: `Nowhere${tag}`, triggerName: 'beforeSave', url: 'https://example.com/before' });
  await c.post('/push_audiences', { objectId: n.id('aud'), name: `people ${tag}`, query: '{"deviceType":"ios"}' });
  await c.post('/classes/_JobSchedule', { objectId: n.id('job'), jobName: `job${tag}`, description: 'd', params: '{"a":1}', startAfter: '2020-01-01T00:00:00.000Z', daysOfWeek: [1, 2], timeOfDay: '10:00', repeatMinutes: 5 });
  await c.as(true, { 'X-Parse-Request-Id': `req-${tag}` }).post(`/classes/${n.first}`, { objectId: n.id('once'), text: 'once' });
  await c.post('/batch', {
    requests: [
      { method: 'POST', path: `/parse/classes/${n.first}`, body: { objectId: n.id('b1'), text: 'batch' } },
      { method: 'PUT', path: `/parse/classes/${n.first}/${n.id('f2')}`, body: { number: 4 } },
    ],
  });
  return tokens;
}

// change does to the world of a tag what clients and the master key may do to
// what is there. The sessions are those of create.
export async function change(c, tag, tokens) {
  const n = names(tag);
  const put = (id, body, by = c) => by.put(`/classes/${n.all}/${n.id(id)}`, body);
  await put('a', {
    text: 'changed', number: { __op: 'Increment', amount: 1.5 }, list: { __op: 'Add', objects: [3, 4, { k: date('2020-01-02T00:00:00.000Z') }] },
    'object.text': 'dotted', 'object.added': date('2022-01-01T00:00:00.000Z'), 'object.int': { __op: 'Increment', amount: 2 }, 'object.yes': gone,
    fans: { __op: 'Batch', ops: [add(pointer('_User', n.id('cat'))), drop(pointer('_User', n.id('ann')))] },
  });
  await put('b', { list: { __op: 'AddUnique', objects: ['u', 'v'] }, flag: gone, who: gone, place: geo(5, 6), area: gone, image: gone, data: gone, when: date('2030-01-01T00:00:00.000Z') }, c.as(tokens[n.ann]));
  await put('b', { list: { __op: 'AddUnique', objects: ['u', 'w', pointer(n.all, n.id('a'))] } });
  await put('c', { list: { __op: 'Remove', objects: [pointer('_User', n.id('ann')), 'x'] }, ACL: { '*': { read: true, write: true } } });
  await put('d', { number: 1, text: 'no more null', flag: true, when: date('2020-01-01T00:00:00.000Z'), who: pointer('_User', n.id('cat')), place: geo(0, 0), object: { a: 1 }, list: ['l'] });
  await put('e', { text: gone, number: null, ACL: gone }, c.as(tokens[n.bob]));
  await put('f', { fresh: 1, freshPointer: pointer(n.all, n.id('a')), freshObject: { a: 1 }, freshFans: add(pointer(n.all, n.id('b'))) });
  await put('g', { number: { __op: 'Increment', amount: -1 } });
  await put('i', { list: { __op: 'AddUnique', objects: [1, 1, 2] }, number: { __op: 'Increment', amount: 1 }, object: { ...nested(n, 'i') } });
  await c.delete(`/classes/${n.all}/${n.id('h')}`);

  await c.put(`/classes/${n.strict}/${n.id('s1')}`, { number: gone, object: { c: 1 } });
  await c.as(tokens[n.bob]).put(`/classes/${n.guarded}/${n.id('g2')}`, { open: 'by its owner', hidden: 'still' });
  await c.put(`/schemas/${n.all}`, {
    className: n.all, fields: { flag: gone, extra: { type: 'Number', defaultValue: 1 }, others: { type: 'Relation', targetClass: n.all } },
    indexes: { [n.byNumber]: gone, [n.byText]: { text: 1 } },
    classLevelPermissions: { find: { '*': true }, get: { '*': true }, create: { '*': true }, update: { '*': true }, delete: { [`role:${n.editors}`]: true }, protectedFields: { '*': ['data'] } },
  });
  await put('a', { others: add(pointer(n.all, n.id('b')), pointer(n.all, n.id('c'))) });
  await c.put(`/schemas/${n.spare}`, { className: n.spare, fields: { a: gone, b: gone, c: gone, d: { type: 'Array' } } });
  await c.delete(`/schemas/${n.spare}`);

  await c.as(tokens[n.ann]).put(`/users/${n.id('ann')}`, { phone: '2', email: `${n.ann}.new@example.com`, extra: gone });
  await c.as(tokens[n.cat]).put(`/users/${n.id('cat')}`, { password: `${password(n.cat)}-new` });
  await c.as(tokens.again).post('/logout');
  await c.put(`/roles/${n.id('editors')}`, { users: { __op: 'Batch', ops: [drop(pointer('_User', n.id('ann'))), add(pointer('_User', n.id('cat')))] } });
  await c.as(null, { 'X-Parse-Installation-Id': `dev-${tag}` }).put(`/installations/${n.id('inst')}`, { channels: { __op: 'AddUnique', objects: ['c'] }, badge: { __op: 'Increment', amount: 1 } });
  await c.put('/config', { params: { [`greeting${tag}`]: 'changed', [`limits${tag}`]: gone } });
  await c.put(`/hooks/functions/fn${tag}`, { url: 'https://example.com/changed' });
  await c.put(`/hooks/triggers/Nowhere${tag}/beforeSave`, { __op: 'Delete' });
  await c.put(`/classes/_JobSchedule/${n.id('job')}`, { repeatMinutes: 6 });
  tokens[n.cat] = await login(c, n.cat, `${password(n.cat)}-new`);
}

// until asks for an answer until it is the one wanted, for at most ms.
export async function until(ms, ask, wanted) {
  const deadline = Date.now() + ms;
  for (;;) {
    const answer = await ask();
    if (wanted(answer)) return answer;
    if (Date.now() > deadline) assert.fail(`still ${JSON.stringify(answer)} after ${ms} ms`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}
