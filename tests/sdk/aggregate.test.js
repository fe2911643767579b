// Aggregates and distinct values, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`aggregate on ${database.name}`, () => {
    let server;
    let shop;
    const query = () => new Parse.Query('Sale');

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      shop = await new Parse.Object('Shop').save({ name: 'north' });
      const at = (month) => new Date(Date.UTC(2024, month, 1));
      await Parse.Object.saveAll([
        new Parse.Object('Sale', { kind: 'a', n: 1, at: at(0), tags: ['x', 'y'], shop }),
        new Parse.Object('Sale', { kind: 'b', n: 2, at: at(1), tags: ['y'], shop }),
        new Parse.Object('Sale', { kind: 'a', n: 4, at: at(1) }),
      ]);
    });
    after(() => server.stop());

    test('groups and sums', async () => {
      const rows = await query().aggregate([{ $group: { _id: '$kind', sum: { $sum: '$n' } } }, { $sort: { _id: 1 } }]);
      assert.deepEqual(rows, [{ objectId: 'a', sum: 5 }, { objectId: 'b', sum: 2 }]);
    });

    test('takes an object of stages', async () => {
      assert.deepEqual(await query().aggregate({ $match: { kind: 'a' }, $count: 'c' }), [{ c: 2 }]);
    });

    test('begins with the constraints of the query', async () => {
      const rows = await query().equalTo('shop', shop).greaterThan('n', 1).aggregate([{ $project: { n: 1 } }]);
      assert.deepEqual(rows.map((r) => r.n), [2]);
    });

    test('groups by a pointer and by a month', async () => {
      const byShop = await query().aggregate([{ $group: { _id: '$shop', n: { $sum: 1 } } }, { $match: { _id: { $ne: null } } }]);
      assert.deepEqual(byShop, [{ objectId: shop.id, n: 2 }]);
      const byMonth = await query().aggregate([{ $group: { _id: { $month: '$at' }, n: { $sum: '$n' } } }, { $sort: { _id: 1 } }]);
      assert.deepEqual(byMonth, [{ objectId: 1, n: 1 }, { objectId: 2, n: 6 }]);
    });

    test('takes raw values', async () => {
      const rows = await query().aggregate(
        [{ $match: { at: { $gt: { $date: '2024-01-15T00:00:00Z' } } } }, { $sort: { n: 1 } }, { $project: { _id: 0, n: 1, at: 1 } }],
        { rawValues: true, rawFieldNames: true });
      assert.deepEqual(rows[0], { n: 2, at: { $date: '2024-02-01T00:00:00.000Z' } });
    });

    test('finds distinct values', async () => {
      assert.deepEqual((await query().distinct('kind')).sort(), ['a', 'b']);
      assert.deepEqual((await query().equalTo('n', 2).distinct('tags')), ['y']);
      assert.deepEqual((await query().distinct('shop')).map((p) => p.objectId ?? p.id), [shop.id]);
    });

    test('joins, windows and formats', async () => {
      const shops = await new Parse.Query('Shop').aggregate([
        { $addFields: { key: { $concat: ['Shop$', '$_id'] } } },
        { $lookup: { from: 'Sale', let: { key: '$key' }, pipeline: [{ $match: { $expr: { $eq: ['$_p_shop', '$$key'] } } }, { $sort: { n: 1 } }], as: 'sales' } },
        { $project: { _id: 0, name: 1, n: '$sales.n' } },
      ]);
      assert.deepEqual(shops, [{ name: 'north', n: [1, 2] }]);
      const running = await query().aggregate([
        { $setWindowFields: { sortBy: { n: 1 }, output: { sum: { $sum: '$n', window: { documents: ['unbounded', 'current'] } } } } },
        { $project: { _id: 0, sum: 1, at: { $dateToString: { date: '$at', format: '%Y-%m' } } } },
      ]);
      assert.deepEqual(running, [{ sum: 1, at: '2024-01' }, { sum: 3, at: '2024-02' }, { sum: 7, at: '2024-02' }]);
    });

    test('explains what the database does', async () => {
      const [plan] = await query().explain().aggregate([{ $match: { kind: 'a' } }, { $group: { _id: '$kind', n: { $sum: '$n' } } }]);
      assert.deepEqual(plan.stagesOfDatabase, ['$match', '$group']);
      assert.deepEqual(plan.stagesOfServer, []);
    });

    test('is for clients where the class says so', async () => {
      const schema = new Parse.Schema('Vote');
      schema.addNumber('stars').addString('note');
      schema.setCLP({ find: {}, create: { '*': true }, aggregate: { requiresAuthentication: true }, protectedFields: { '*': ['note'] } });
      await schema.save();
      await Parse.Object.saveAll([1, 5].map((stars) => new Parse.Object('Vote', { stars, note: 'hidden' })), { useMasterKey: true });
      const user = await Parse.User.signUp('voter', 'pw');
      const options = { useMasterKey: false, sessionToken: user.getSessionToken() };
      const ask = (pipeline, opts) => new Parse.Query('Vote').aggregate(pipeline, opts);
      // The SDK always asks with the master key; a client asks by REST.
      const rest = (pipeline) => Parse.CoreManager.getRESTController().request('GET', 'aggregate/Vote', { pipeline }, options);
      assert.deepEqual((await rest([{ $group: { _id: null, avg: { $avg: '$stars' } } }])).results, [{ objectId: null, avg: 3 }]);
      await assert.rejects(rest([{ $group: { _id: '$note' } }]), code(119));
      assert.deepEqual(await ask([{ $count: 'c' }]), [{ c: 2 }]);
    });

    test('refuses stages that it does not know, and callers without the master key', async () => {
      await assert.rejects(query().aggregate([{ $out: 'Sale' }]), code(102, /Unrecognized pipeline stage name/));
      await assert.rejects(query().aggregate([{ group: {} }]), code(102, /Invalid aggregate stage 'group'/));
      await assert.rejects(query().aggregate([{ $count: 'c' }], { useMasterKey: false }));
    });
  });
}
