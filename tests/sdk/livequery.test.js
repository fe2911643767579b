// Live queries by the unmodified JS SDK: who is told what, and who is not.
// "Is told nothing" is proved by a later event on the same connection, before
// which nothing came.
import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, collect, databases, freely, helloCloud, master, openSchema, schemaOf, start } from './harness.js';

const everybody = Object.fromEntries(['find', 'get', 'count', 'create', 'update', 'delete', 'addField'].map((op) => [op, { '*': true }]));
const schema = schemaOf([
  { className: 'Item', classLevelPermissions: everybody,
    fields: { name: { type: 'String' }, n: { type: 'Number' }, list: { type: 'Array' }, owner: { type: 'Pointer', targetClass: '_User' }, tags: { type: 'Object' } } },
  { className: 'Closed', fields: { name: { type: 'String' } }, classLevelPermissions: { ...everybody, find: { requiresAuthentication: true } } },
  { className: 'Masked', fields: { name: { type: 'String' }, pin: { type: 'String' } }, classLevelPermissions: { ...everybody, protectedFields: { '*': ['pin'] } } },
  { className: 'Quiet', fields: { name: { type: 'String' } }, classLevelPermissions: everybody },
]);
const published = ['--liveQuery', JSON.stringify({ classNames: ['Item', 'Closed', 'Masked'] })];

for (const database of databases()) {
  describe(`live queries on ${database.name}`, () => {
    let server;
    let client;
    let clients;
    let users = 0;

    before(async () => {
      server = await start(database, published, { schema });
      server.use();
    });
    after(() => server.stop());

    const connect = async (more = {}) => {
      const c = new Parse.LiveQueryClient({ applicationId: server.appId, serverURL: Parse.liveQueryServerURL, ...more });
      clients.push(c);
      c.open();
      await c.connectPromise;
      return c;
    };
    beforeEach(async () => {
      clients = [];
      client = await connect();
    });
    afterEach(() => Promise.all(clients.map((c) => c.close())));

    const item = (fields, acl) => {
      const object = new Parse.Object('Item', fields);
      if (acl) object.setACL(acl);
      return object.save(null, master);
    };
    const subscribe = async (query, user, on = client) => {
      const subscription = on.subscribe(query, user?.getSessionToken());
      const events = await collect(subscription);
      await subscription.subscribePromise;
      return Object.assign(events, { subscription });
    };
    const signUp = (name) => new Parse.User({ username: `${name}-${users += 1}`, password: 'p' }).signUp();
    const query = () => new Parse.Query('Item');
    const only = (...ids) => {
      const acl = new Parse.ACL();
      for (const id of ids) acl.setReadAccess(id, true);
      return acl;
    };
    // told lists the events so far, as "create a" with the name of the object.
    const told = (events) => events.seen.map((e) => `${e.event} ${e.object.get('name')}`).join(', ');
    // marker makes an event of which everybody on this client hears last.
    const marked = async (f) => {
      const marks = await subscribe(query().equalTo('name', 'marker'));
      await f();
      await item({ name: 'marker' });
      await marks.nth(1);
    };

    test('find of a subscription gives what it holds now', async () => {
      const events = await subscribe(query().equalTo('name', 'held').select('n'));
      await item({ name: 'held', n: 1 });
      await item({ name: 'other', n: 2 });
      await events.nth(1);
      const results = new Promise((resolve) => { events.subscription.on('result', resolve); });
      events.subscription.find();
      const list = await results;
      assert.deepEqual(list.map((o) => [o.className, o.get('n')]), [['Item', 1]]);
    });

    test('a client whose connection breaks is told what it missed', async () => {
      const on = await connect({ installationId: 'phone-1' }); // as Parse.Query.subscribe does
      const events = await subscribe(query().startsWith('name', 'lost'), null, on);
      await item({ name: 'lost 0' });
      await events.nth(1);
      const opened = new Promise((resolve) => { on.on('open', resolve); });
      on.socket.terminate(); // as if the network had gone; the SDK connects again by itself
      const a = await item({ name: 'lost 1' });
      await a.save({ n: 1 }, master);
      await a.destroy(master);
      await opened;
      const last = await item({ name: 'lost 2' });
      while (!events.seen.some((e) => e.object.id === last.id)) await events.nth(events.seen.length + 1);
      const missed = told(events).split(', ').filter((e) => !e.endsWith('lost 0'));
      assert.deepEqual(missed, ['create lost 1', 'update lost 1', 'delete lost 1', 'create lost 2']);
    });

    test('create, update, enter, leave, delete, with their objects before and after', async () => {
      const events = await subscribe(query().greaterThan('n', 10));
      const a = await item({ name: 'a', n: 11, list: [1] });
      await a.save({ n: 12, list: [2] }, master);
      await a.save({ n: 5 }, master);
      await a.save({ name: 'aa' }, master); // outside: nobody hears
      await a.save({ n: 20 }, master);
      await a.destroy(master);
      const b = await item({ name: 'b', n: 1 });
      await b.destroy(master);
      await item({ name: 'last', n: 99 });

      assert.equal((await events.nth(6)).object.get('name'), 'last');
      assert.equal(told(events), 'create a, update a, leave a, enter aa, delete aa, create last');
      const [create, update, leave, enter, gone] = events.seen;
      assert.equal(create.object.id, a.id);
      assert.equal(create.object.className, 'Item');
      assert.deepEqual(create.object.get('list'), [1]);
      assert.ok(create.object.createdAt instanceof Date);
      assert.equal(create.original, undefined);
      assert.deepEqual([update.original.get('n'), update.object.get('n'), update.object.get('list')], [11, 12, [2]]);
      assert.deepEqual([leave.original.get('n'), leave.object.get('n')], [12, 5]);
      assert.deepEqual([enter.original.get('n'), enter.object.get('n')], [5, 20]);
      assert.equal(gone.object.get('n'), 20);
    });

    test('operations and batches: the event holds the stored result', async () => {
      const events = await subscribe(query().equalTo('name', 'op'));
      const object = await item({ name: 'op', n: 1, list: ['x'], tags: { a: { b: 1 } } });
      object.increment('n', 4);
      object.add('list', 'y');
      object.set('tags.a.b', 2);
      await object.save(null, master);
      const { object: told, original } = await events.nth(2);
      assert.deepEqual([told.get('n'), told.get('list'), told.get('tags')], [5, ['x', 'y'], { a: { b: 2 } }]);
      assert.deepEqual([original.get('n'), original.get('list'), original.get('tags')], [1, ['x'], { a: { b: 1 } }]);
      object.unset('n');
      await object.save(null, master);
      const unset = await events.nth(3);
      assert.equal(unset.object.has('n'), false);
      assert.equal(unset.original.get('n'), 5);

      const many = Array.from({ length: 30 }, (_, n) => new Parse.Object('Item', { name: 'op', n }));
      await Parse.Object.saveAll(many);
      await events.nth(33);
      assert.deepEqual(new Set(events.seen.slice(3).map((e) => e.object.id)), new Set(many.map((o) => o.id)));
      await Parse.Object.destroyAll(many);
      await events.nth(63);
      assert.deepEqual(new Set(events.seen.slice(33).map((e) => e.event)), new Set(['delete']));
    });

    const wheres = {
      'in': (q) => q.containedIn('name', ['hit', 'x']),
      'a list': (q) => q.equalTo('list', 'in'),
      'a pattern': (q) => q.startsWith('name', 'hi'),
      'or': () => Parse.Query.or(query().equalTo('n', 7), query().equalTo('n', 8)),
      'a path': (q) => q.equalTo('tags.a', 1),
      'exists': (q) => q.exists('tags').greaterThanOrEqualTo('n', 7),
      'not': (q) => q.notEqualTo('name', 'miss').exists('list'),
    };
    test('where', async () => {
      const subscriptions = {};
      for (const [what, build] of Object.entries(wheres)) subscriptions[what] = await subscribe(build(query()));
      await marked(async () => {
        await item({ name: 'miss', n: 1, list: ['out'] });
        await item({ name: 'hit', n: 7, list: ['in'], tags: { a: 1 } });
      });
      for (const [what, events] of Object.entries(subscriptions)) assert.equal(told(events), 'create hit', what);
    });

    test('select and watch', async () => {
      const selected = await subscribe(query().equalTo('name', 'fields').select('n'));
      const watching = await subscribe(query().equalTo('name', 'fields').watch('n'));
      const object = await item({ name: 'fields', n: 1, list: [1] });
      await object.save({ list: [2] }, master);
      await object.save({ n: 2 }, master);
      await selected.nth(3);
      await watching.nth(1);
      await marked(async () => {});
      const first = selected.seen[0].object;
      assert.deepEqual([first.get('n'), first.has('list'), first.has('name')], [1, false, false]);
      assert.ok(first.id && first.createdAt && first.updatedAt);
      assert.equal(selected.seen[2].original.has('list'), false);
      assert.equal(watching.seen.at(-1).object.get('n'), 2);
      assert.equal(watching.seen.filter((e) => e.event === 'update').length, 1, 'the change of list is not watched');
    });

    test('unsubscribe', async () => {
      const [stays, goes] = [await subscribe(query().equalTo('name', 'un')), await subscribe(query().equalTo('name', 'un'))];
      await item({ name: 'un' });
      await Promise.all([stays.nth(1), goes.nth(1)]);
      await client.unsubscribe(goes.subscription);
      await item({ name: 'un' });
      await stays.nth(2);
      assert.equal(goes.seen.length, 1);
      assert.equal(goes.subscription.subscribed, false);
    });

    test('the default client, by query.subscribe', async () => {
      const subscription = await query().equalTo('name', 'default').subscribe();
      const events = await collect(subscription);
      await item({ name: 'default' });
      assert.equal((await events.nth(1)).event, 'create');
      await subscription.unsubscribe();
      await Parse.CoreManager.getLiveQueryController().getDefaultLiveQueryClient().then((c) => c.close());
      Parse.CoreManager.getLiveQueryController()._clearCachedDefaultClient();
    });

    test('an ACL: a user is told what it may read', async () => {
      const [ann, ben] = [await signUp('ann'), await signUp('ben')];
      const forAnn = await subscribe(query().equalTo('n', 500), ann);
      const forBen = await subscribe(query().equalTo('n', 500), ben);
      const forAll = await subscribe(query().equalTo('n', 500));
      await item({ name: 'locked', n: 500 }, new Parse.ACL());
      const object = await item({ name: 'annonly', n: 500 }, only(ann.id));
      await object.save({ list: [1] }, master);
      object.setACL(only(ann.id, ben.id));
      await object.save(null, master); // ben comes to see it
      object.setACL(only(ben.id));
      await object.save(null, master); // ann does no longer
      await object.save({ name: 'secret' }, master);
      await object.destroy(master);
      await marked(async () => {});
      assert.equal(told(forAnn), 'create annonly, update annonly, update annonly, leave annonly');
      assert.equal(told(forBen), 'enter annonly, update annonly, update secret, delete secret');
      assert.equal(forBen.seen[0].original, undefined, 'what ben could not read is not told afterwards');
      assert.equal(told(forAll), '');
    });

    test('a role: no events any more for one who has left it', async () => {
      const [ann, ben] = [await signUp('ann'), await signUp('ben')];
      const role = new Parse.Role(`crew-${users}`, new Parse.ACL());
      role.getUsers().add([ann, ben]);
      await role.save(null, master);
      const acl = new Parse.ACL();
      acl.setRoleReadAccess(role, true);
      const [forAnn, forBen] = [await subscribe(query().equalTo('n', 600), ann), await subscribe(query().equalTo('n', 600), ben)];
      await item({ name: 'one', n: 600 }, acl);
      await Promise.all([forAnn.nth(1), forBen.nth(1)]);

      role.getUsers().remove(ann);
      await role.save(null, master);
      await item({ name: 'two', n: 600 }, acl);
      await forBen.nth(2);
      role.getUsers().add(ann);
      await role.save(null, master);
      await item({ name: 'three', n: 600 }, acl);
      await Promise.all([forAnn.nth(2), forBen.nth(3)]);
      assert.equal(told(forAnn), 'create one, create three');
      assert.equal(told(forBen), 'create one, create two, create three');

      await role.destroy(master);
      await marked(() => item({ name: 'four', n: 600 }, acl));
      assert.equal(told(forBen), 'create one, create two, create three');
    });

    test('log-out, another password, a deleted session: no events any more', async () => {
      const ends = {
        'log-out': async (user) => {
          Parse.User.enableUnsafeCurrentUser();
          await Parse.User.become(user.getSessionToken());
          await Parse.User.logOut();
          Parse.User.disableUnsafeCurrentUser();
        },
        'password': (user) => user.save({ password: 'other' }, as(user)),
        'session': async (user) => (await new Parse.Query(Parse.Session).equalTo('user', user).first(master)).destroy(master),
        'deleted user': (user) => user.destroy(master),
      };
      for (const [how, end] of Object.entries(ends)) {
        const user = await signUp('leaving');
        const events = await subscribe(query().equalTo('n', 700), user);
        const acl = only(user.id);
        await item({ name: 'before', n: 700 }, acl);
        await events.nth(1);
        await end(user);
        await marked(() => item({ name: 'after', n: 700 }, acl));
        assert.equal(told(events), 'create before', how);
      }
    });

    test('the session of the connection counts, too; the master key of REST does not', async () => {
      const ann = await signUp('ann');
      const own = await connect({ sessionToken: ann.getSessionToken() });
      const boss = await connect({ masterKey: server.masterKey });
      const [forAnn, forBoss] = [await subscribe(query().equalTo('n', 800), undefined, own), await subscribe(query().equalTo('n', 800), undefined, boss)];
      await item({ name: 'none', n: 800 }, new Parse.ACL());
      await item({ name: 'ann', n: 800 }, only(ann.id));
      await item({ name: 'all', n: 800 });
      await Promise.all([forAnn.nth(2), forBoss.nth(1)]);
      assert.equal(told(forAnn), 'create ann, create all');
      assert.equal(told(forBoss), 'create all');
    });

    test('class-level permissions and protected fields', async () => {
      const ann = await signUp('ann');
      const denied = client.subscribe(new Parse.Query('Closed'));
      await assert.rejects(denied.subscribePromise, code(Parse.Error.OBJECT_NOT_FOUND));
      const closed = await subscribe(new Parse.Query('Closed'), ann);
      await new Parse.Object('Closed').save({ name: 'c' });
      assert.equal((await closed.nth(1)).object.get('name'), 'c');

      const masked = await subscribe(new Parse.Query('Masked'), ann);
      const object = await new Parse.Object('Masked').save({ name: 'm', pin: '1234' }, master);
      await object.save({ pin: '5678', name: 'mm' }, master);
      const update = await masked.nth(2);
      assert.deepEqual([masked.seen[0].object.has('pin'), update.object.has('pin'), update.original.has('pin')], [false, false, false]);
      await assert.rejects(client.subscribe(new Parse.Query('Masked').equalTo('pin', '5678')).subscribePromise, code(Parse.Error.OPERATION_FORBIDDEN));
      await assert.rejects(client.subscribe(query().matches('name', '(')).subscribePromise, code(Parse.Error.INVALID_QUERY));
    });

    test('a connection of a stranger is refused', async () => {
      const stranger = new Parse.LiveQueryClient({ applicationId: 'another', serverURL: Parse.liveQueryServerURL });
      stranger.open();
      await assert.rejects(stranger.connectPromise, code(4));
      stranger.socket.close();
    });
  });

  describe(`hooks on live queries on ${database.name}`, () => {
    test('a hook in Go keeps events back and changes them', async () => {
      const server = await start(database, [...freely, '--liveQuery', JSON.stringify({ classNames: ['Review'] })], { schema: openSchema, program: helloCloud });
      server.use();
      const client = new Parse.LiveQueryClient({ applicationId: server.appId, serverURL: Parse.liveQueryServerURL });
      client.open();
      const subscription = client.subscribe(new Parse.Query('Review'));
      const events = await collect(subscription);
      await Promise.all([client.connectPromise, subscription.subscribePromise]);
      const review = await new Parse.Object('Review').save({ movie: 'M', stars: 4, draft: true }, master);
      await review.save({ stars: 5 }, master);
      await review.save({ draft: false }, master);
      await review.save({ stars: 4 }, master);
      await events.nth(2);
      assert.deepEqual(events.seen.map((e) => [e.event, e.object.get('stars'), e.original?.get('stars')]), [['create', 5, undefined], ['update', 4, 5]]);
      await client.close();
      await server.stop();
    });
  });

  describe(`live queries that include objects on ${database.name}`, () => {
    test('the SDK gives them as it does after a find', async () => {
      const server = await start(database, published, { schema });
      server.use();
      const user = await new Parse.User({ username: 'owner', password: 'p', email: 'owner@example.org' }).signUp();
      const acl = new Parse.ACL(user);
      acl.setPublicReadAccess(true);
      await user.setACL(acl).save(null, master);
      const client = new Parse.LiveQueryClient({ applicationId: server.appId, serverURL: Parse.liveQueryServerURL });
      client.open();
      const subscription = client.subscribe(new Parse.Query('Item'));
      const events = await collect(subscription);
      await subscription.subscribePromise;
      // The SDK has no way to ask for it, but takes what it is answered.
      client.socket.send(JSON.stringify({ op: 'update', requestId: subscription.id, query: { className: 'Item', where: {}, include: ['owner'] } }));
      const probe = client.subscribe(new Parse.Query('Quiet')); // answered after the update
      await probe.subscribePromise;
      await new Parse.Object('Item').save({ name: 'mine', owner: user }, master);
      const { event, object } = await events.nth(1);
      assert.deepEqual([event, object.get('name'), object.get('owner').get('username')], ['create', 'mine', 'owner']);
      assert.deepEqual(['email', 'authData', 'sessionToken'].map((k) => object.get('owner').has(k)), [false, false, false]);
      await client.close();
      await server.stop();
    });
  });

  describe(`live queries with keys on ${database.name}`, () => {
    test('a client must have one of the keys, and the master key among them sees all', async () => {
      const keyPairs = { masterKey: 'live-master', javascriptKey: 'live-js' };
      const server = await start(database, ['--liveQueryServerOptions', JSON.stringify({ keyPairs })], { schema });
      server.use();
      const open = async (keys) => {
        const client = new Parse.LiveQueryClient({ applicationId: server.appId, serverURL: Parse.liveQueryServerURL, ...keys });
        client.open();
        const subscription = client.subscribe(new Parse.Query('Item'));
        const events = await collect(subscription);
        await Promise.all([client.connectPromise, subscription.subscribePromise]);
        return { client, events };
      };
      try {
        for (const keys of [{}, { javascriptKey: 'guessed' }]) {
          const stranger = new Parse.LiveQueryClient({ applicationId: server.appId, serverURL: Parse.liveQueryServerURL, ...keys });
          stranger.open();
          await assert.rejects(stranger.connectPromise, code(4));
          stranger.socket.close();
        }
        const [boss, user] = [await open({ masterKey: 'live-master' }), await open({ javascriptKey: 'live-js' })];
        const locked = new Parse.Object('Item', { name: 'locked' });
        locked.setACL(new Parse.ACL());
        await locked.save(null, master);
        await new Parse.Object('Item').save({ name: 'open' });
        await Promise.all([boss.events.nth(2), user.events.nth(1)]);
        assert.deepEqual(boss.events.seen.map((e) => e.object.get('name')), ['locked', 'open']);
        assert.deepEqual(user.events.seen.map((e) => e.object.get('name')), ['open']);
        await Promise.all([boss.client.close(), user.client.close()]);
      } finally {
        await server.stop();
      }
    });
  });

  describe(`reconnecting on ${database.name}`, () => {
    test('a client that loses its server resubscribes by itself', async (t) => {
      let server = await start(database, [], { schema });
      let client;
      t.after(() => Promise.all([client?.close(), server.stop()]));
      const { dir, port } = server;
      server.use();
      const user = await new Parse.User({ username: 'ann', password: 'p' }).signUp();
      client = new Parse.LiveQueryClient({ applicationId: server.appId, serverURL: Parse.liveQueryServerURL });
      client.open();
      await client.connectPromise;
      const subscription = client.subscribe(new Parse.Query('Item').equalTo('owner', user), user.getSessionToken());
      const events = await collect(subscription);
      await new Promise((resolve) => { subscription.on('open', resolve); }); // 200 ms after the answer
      const make = (name) => {
        const object = new Parse.Object('Item', { name, owner: user });
        object.setACL(new Parse.ACL(user));
        return object.save(null, as(user));
      };
      await make('before');
      await events.nth(1);

      const closed = new Promise((resolve) => { subscription.on('close', resolve); });
      const { random } = Math;
      Math.random = () => random() / 20; // the SDK waits a random time before it tries again
      try {
        assert.deepEqual(await server.stop({ keep: true }), { code: 0, signal: null });
        await closed;
        const resubscribed = new Promise((resolve) => { subscription.on('open', resolve); });
        server = await start(database, [], { schema, dir, port });
        await resubscribed;
      } finally {
        Math.random = random;
      }
      await make('after');
      assert.equal((await events.nth(2)).object.get('name'), 'after');
      assert.deepEqual(events.seen.map((e) => e.event), ['create', 'create']);
    });
  });
}
