// Installations, by the unmodified JS SDK and, where it hides something, by requests.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, master, openSchema, start } from './harness.js';

const make = (fields) => new Parse.Installation(fields).save();
const all = async () => {
  const list = await new Parse.Query(Parse.Installation).ascending('createdAt').find(master);
  return list.map((o) => ({ id: o.id, ...Object.fromEntries(['installationId', 'deviceToken', 'badge'].filter((k) => o.has(k)).map((k) => [k, o.get(k)])) }));
};

for (const database of databases()) {
  describe(`installations on ${database.name}`, () => {
    let server;

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
    });
    after(() => server.stop());

    test('an installation is saved, read and changed', async () => {
      const phone = await make({ deviceType: 'ios', installationId: 'Phone-1', deviceToken: 'token-1', channels: ['news'], badge: 0 });
      assert.ok(phone.id);
      const read = await new Parse.Query(Parse.Installation).get(phone.id, master);
      assert.equal(read.get('installationId'), 'phone-1');
      assert.deepEqual(read.get('channels'), ['news']);
      phone.addUnique('channels', 'sport');
      phone.increment('badge');
      await phone.save();
      assert.deepEqual([phone.get('channels'), phone.get('badge')], [['news', 'sport'], 1]);
    });

    test('clients neither search nor delete', async () => {
      await assert.rejects(new Parse.Query(Parse.Installation).find(), code(Parse.Error.OPERATION_FORBIDDEN));
      const [first] = await new Parse.Query(Parse.Installation).find(master);
      await assert.rejects(first.destroy(), code(Parse.Error.OPERATION_FORBIDDEN));
    });

    test('what is missing', async () => {
      const own = await make({ deviceType: 'ios' }); // the SDK has an installation id of its own
      assert.ok((await new Parse.Query(Parse.Installation).get(own.id, master)).get('installationId'));
      await assert.rejects(make({ installationId: 'new' }), code(135, /^deviceType must be specified in this operation$/));
    });

    test('the same app on the same device is one object, and a token has one owner', async () => {
      await Parse.Object.destroyAll(await new Parse.Query(Parse.Installation).find(master), master);
      await make({ deviceType: 'android', installationId: 'a', deviceToken: 't', badge: 1 });
      await make({ deviceType: 'android', installationId: 'a', badge: 2 });
      let list = await all();
      assert.equal(list.length, 1);
      assert.deepEqual([list[0].deviceToken, list[0].badge], ['t', 2]);
      const reinstalled = await make({ deviceType: 'android', installationId: 'b', deviceToken: 't' });
      list = await all();
      assert.deepEqual(list, [{ id: reinstalled.id, installationId: 'b', deviceToken: 't' }]);
      reinstalled.set('installationId', 'c');
      await assert.rejects(reinstalled.save(), code(136, /^installationId may not be changed in this operation$/));
    });

    test('an installation that was deleted is saved anew', async () => {
      const lost = await make({ deviceType: 'ios', installationId: 'lost' });
      await lost.destroy(master);
      const { id } = lost;
      lost.set('badge', 3);
      await lost.save(); // the SDK knows the answer to a change of what is gone
      assert.notEqual(lost.id, id);
      assert.equal((await new Parse.Query(Parse.Installation).get(lost.id, master)).get('badge'), 3);
    });
  });
}
