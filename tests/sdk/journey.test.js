// The payment gateway as its users live it, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { collect, databases, start } from './harness.js';

const code = (expected) => (error) => {
  assert.equal(error.code, expected, `${error.code}: ${error.message}`);
  return true;
};

for (const database of databases()) {
  describe(`payment gateway on ${database.name}`, () => {
    let server;
    let alice;
    let bob;
    let client;
    let aliceEvents;
    let bobEvents;
    let aliceNotes;
    let method;
    let history;

    before(async () => {
      server = await start(database);
      Parse.initialize(server.appId, undefined, server.masterKey);
      Parse.serverURL = server.url;
      Parse.liveQueryServerURL = server.url.replace(/^http/, 'ws');
    });

    after(async () => {
      await client?.close();
      const result = await server.stop();
      assert.deepEqual(result, { code: 0, signal: null }, 'SIGTERM must drain and end with 0');
    });

    const as = (user) => ({ sessionToken: user.getSessionToken() });

    const signUp = async (name) => {
      const user = new Parse.User();
      await user.signUp({ username: name, password: `secret-${name}`, email: `${name}@example.com` });
      assert.match(user.getSessionToken(), /^r:[0-9a-f]{32}$/);
      return user;
    };

    test('sign-up gives a session and the role of a client', async () => {
      alice = await signUp('alice');
      bob = await signUp('bob');
      await alice.fetch(as(alice));
      assert.equal(alice.get('role'), 'client');
      assert.equal(alice.get('email'), 'alice@example.com');
      await assert.rejects(signUp('alice'), code(Parse.Error.USERNAME_TAKEN));
      const thief = new Parse.User();
      await assert.rejects(
        thief.signUp({ username: 'mallory', password: 'x', email: 'm@example.com', role: 'admin' }),
        code(Parse.Error.OPERATION_FORBIDDEN));
    });

    test('login', async () => {
      await assert.rejects(Parse.User.logIn('alice', 'wrong'), code(Parse.Error.OBJECT_NOT_FOUND));
      alice = await Parse.User.logIn('alice', 'secret-alice');
      bob = await Parse.User.logIn('bob', 'secret-bob');
      assert.notEqual(alice.id, bob.id);
      const me = await Parse.User.me(alice.getSessionToken());
      assert.equal(me.get('username'), 'alice');
    });

    test('a card number is masked before it is stored', async () => {
      method = new Parse.Object('PaymentMethod');
      await method.save({ type: 'card', details: '4242 4242 4242 4242', user: alice }, as(alice));
      await method.fetch(as(alice));
      assert.match(method.get('details'), /4242$/);
      assert.doesNotMatch(method.get('details'), /4242.*4242/);
    });

    test('live queries are open', async () => {
      client = new Parse.LiveQueryClient({
        applicationId: server.appId, serverURL: server.url.replace(/^http/, 'ws'), masterKey: undefined,
        javascriptKey: undefined, sessionToken: undefined,
      });
      client.open();
      await client.connectPromise;
      const watch = async (className, user) => {
        const subscription = client.subscribe(new Parse.Query(className), user.getSessionToken());
        const events = await collect(subscription);
        await subscription.subscribePromise;
        return events;
      };
      aliceEvents = await watch('TransactionHistory', alice);
      bobEvents = await watch('TransactionHistory', bob);
      aliceNotes = await watch('Notification', alice);
    });

    test('a transaction is made, and only its owner hears of it', async () => {
      history = new Parse.Object('TransactionHistory');
      await history.save({ amount: 12.5, status: 'pending', timestamp: new Date(), user: alice }, as(alice));
      const created = await aliceEvents.nth(1);
      assert.equal(created.event, 'create');
      assert.equal(created.object.id, history.id);
      assert.equal(created.object.get('amount'), 12.5);

      await history.save({ status: 'cancelled' }, as(alice));
      const updated = await aliceEvents.nth(2);
      assert.equal(updated.event, 'update');
      assert.equal(updated.object.get('status'), 'cancelled');
      assert.equal(bobEvents.seen.length, 0);
    });

    test('the rules hold', async () => {
      const forged = new Parse.Object('TransactionHistory');
      await assert.rejects(
        forged.save({ amount: 1, status: 'pending', timestamp: new Date(), user: alice }, as(bob)),
        code(Parse.Error.OPERATION_FORBIDDEN));
      for (const amount of [0, -1, 1.234]) {
        const bad = new Parse.Object('TransactionHistory');
        await assert.rejects(
          bad.save({ amount, status: 'pending', timestamp: new Date() }, as(alice)), code(Parse.Error.VALIDATION_ERROR));
      }
      const nobody = new Parse.Object('TransactionHistory');
      await assert.rejects(nobody.save({ amount: 1, status: 'pending', timestamp: new Date() }));
      await assert.rejects(history.save({ user: bob }, as(alice)));
      await assert.rejects(history.save({ status: 'completed' }, as(alice)));
      await assert.rejects(alice.save({ role: 'admin' }, as(alice)), code(Parse.Error.OPERATION_FORBIDDEN));
      alice.revert();
    });

    test('access is logged, by the caller and by the server', async () => {
      const entry = new Parse.Object('AccessLog');
      await entry.save({ action: 'viewed transactions', timestamp: new Date(), user: alice }, as(alice));
      await assert.rejects(entry.save({ action: 'nothing' }, as(alice)));
      await assert.rejects(entry.destroy(as(alice)));
      const actions = (await new Parse.Query('AccessLog').find(as(alice))).map((e) => e.get('action'));
      assert.ok(actions.includes('viewed transactions'));
      assert.ok(actions.length > 1, `the server logs, too: ${actions}`);
    });

    test('own transactions are listed; a second user sees none of it', async () => {
      const query = () => new Parse.Query('TransactionHistory').descending('createdAt').include('user').withCount();
      const own = await query().find(as(alice));
      assert.equal(own.count, 1);
      assert.equal(own.results[0].get('user').get('username'), 'alice');
      for (const className of ['TransactionHistory', 'PaymentMethod', 'Transaction', 'Payment', 'Notification']) {
        assert.equal((await new Parse.Query(className).find(as(bob))).length, 0, className);
      }
      await assert.rejects(new Parse.Query('TransactionHistory').get(history.id, as(bob)), code(Parse.Error.OBJECT_NOT_FOUND));
      await assert.rejects(new Parse.Query(Parse.User).find(as(alice)));
    });

    test('processPayment is done once for a key, and notifies', async () => {
      const params = { amount: 20, paymentMethod: method.id, idempotencyKey: 'order-1', description: 'a book' };
      const first = await Parse.Cloud.run('processPayment', params, as(alice));
      const again = await Parse.Cloud.run('processPayment', params, as(alice));
      assert.deepEqual(again, first);
      assert.equal(first.status, 'completed');
      const payments = await new Parse.Query('Payment').find(as(alice));
      assert.equal(payments.length, 1);
      assert.equal(payments[0].get('amount'), 20);
      const note = await aliceNotes.nth(1);
      assert.equal(note.event, 'create');
      assert.equal((await new Parse.Query('Notification').find(as(bob))).length, 0);

      await assert.rejects(Parse.Cloud.run('refund', { payment: payments[0].id }, as(bob)));
      const refund = await Parse.Cloud.run('refund', { payment: payments[0].id }, as(alice));
      assert.equal(refund.status, 'refunded');
      const summary = await Parse.Cloud.run('transactionSummary', {}, as(alice));
      assert.ok(summary.byStatus);
    });

    test('objects are saved together, and roles open the view of an admin', async () => {
      const batch = [1, 2, 3].map((n) => new Parse.Object('TransactionHistory', { amount: n, status: 'pending', timestamp: new Date() }));
      await Parse.Object.saveAll(batch, as(bob));
      assert.equal(await new Parse.Query('TransactionHistory').count(as(bob)), 3);
      const admin = await signUp('carol');
      const role = new Parse.Role('admin', new Parse.ACL());
      role.getUsers().add(admin);
      await role.save(null, { useMasterKey: true });
      const all = await new Parse.Query('TransactionHistory').find(as(admin));
      assert.ok(all.length >= 4, `an admin sees every transaction, not ${all.length}`);
      const users = await new Parse.Query(Parse.User).find(as(admin));
      assert.ok(users.every((u) => u.id === admin.id || u.get('email') === undefined));
      await Parse.Object.destroyAll(batch, as(bob));
    });

    test('bob has heard nothing of alice, and logout ends the session', async () => {
      assert.ok(bobEvents.seen.every((e) => e.object.get('user').id === bob.id));
      const token = alice.getSessionToken();
      Parse.User.enableUnsafeCurrentUser();
      await Parse.User.become(token);
      await Parse.User.logOut();
      Parse.User.disableUnsafeCurrentUser();
      await assert.rejects(
        new Parse.Query('TransactionHistory').find({ sessionToken: token }), code(Parse.Error.INVALID_SESSION_TOKEN));
    });
  });
}
