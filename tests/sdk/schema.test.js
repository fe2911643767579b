// Classes made, changed and removed by Parse.Schema of the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, master, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`schema on ${database.name}`, () => {
    let server;

    before(async () => {
      server = await start(database, [], { schema: openSchema });
      server.use();
    });
    after(() => server.stop());

    test('a class with a field of every type', async () => {
      const when = new Date('2024-02-29T12:34:56.789Z');
      const target = await new Parse.Schema('Target').addString('name').save();
      assert.equal(target.className, 'Target');
      const made = await new Parse.Schema('Everything')
        .addString('string', { required: true, defaultValue: 'Grüße' })
        .addNumber('number', { defaultValue: 4.5 })
        .addBoolean('boolean', { defaultValue: false })
        .addBytes('bytes', { defaultValue: 'aGVsbG8=' })
        .addDate('date', { defaultValue: when })
        .addFile('file')
        .addGeoPoint('geo', { defaultValue: new Parse.GeoPoint(40, -30) })
        .addPolygon('polygon')
        .addArray('array', { defaultValue: [1, 'two'] })
        .addObject('object', { defaultValue: { a: 1 } })
        .addPointer('pointer', 'Target')
        .addRelation('relation', 'Target')
        .addIndex('byString', { string: 1, number: -1 })
        .save();
      assert.deepEqual(made.fields.string, { type: 'String', required: true, defaultValue: 'Grüße' });
      assert.deepEqual(made.fields.pointer, { type: 'Pointer', targetClass: 'Target' });
      assert.deepEqual(made.fields.relation, { type: 'Relation', targetClass: 'Target' });
      assert.deepEqual(made.indexes, { _id_: { _id: 1 }, byString: { string: 1, number: -1 } });

      const object = await new Parse.Object('Everything').save(null, master);
      const got = await new Parse.Query('Everything').get(object.id);
      assert.equal(got.get('string'), 'Grüße');
      assert.equal(got.get('number'), 4.5);
      assert.equal(got.get('boolean'), false);
      assert.equal(got.get('date').getTime(), when.getTime());
      assert.deepEqual(got.get('array'), [1, 'two']);
      assert.deepEqual(got.get('object'), { a: 1 });
      assert.equal(got.get('geo').latitude, 40);
      await assert.rejects(new Parse.Object('Everything').save({ number: 'x' }), code(Parse.Error.INCORRECT_TYPE));
      await assert.rejects(new Parse.Schema('Everything').save(), code(Parse.Error.INVALID_CLASS_NAME, /already exists/));
    });

    test('fields, indexes and permissions change', async () => {
      await new Parse.Schema('Game').addNumber('score').addString('old').addPointer('owner', '_User').addIndex('byOld', { old: 1 }).save();
      await new Parse.Object('Game').save({ score: 1, old: 'x' });

      const schema = new Parse.Schema('Game');
      const clp = { find: { '*': true }, get: { '*': true }, create: { requiresAuthentication: true } };
      await schema.deleteField('old').addNumber('level').addIndex('byScore', { score: -1 }).setCLP(clp).update();
      const now = await schema.get();
      assert.equal(now.fields.old, undefined);
      assert.deepEqual(now.fields.level, { type: 'Number' });
      assert.deepEqual(Object.keys(now.indexes).sort(), ['_id_', 'byScore']);
      assert.deepEqual(now.classLevelPermissions.create, { requiresAuthentication: true });
      assert.deepEqual(now.classLevelPermissions.delete, {});
      assert.equal((await new Parse.Query('Game').first()).has('old'), false);
      await assert.rejects(new Parse.Object('Game').save({ score: 2 }), code(Parse.Error.OBJECT_NOT_FOUND, /Permission denied/));

      await schema.deleteIndex('byScore').update();
      assert.equal((await schema.get()).indexes, undefined);
      await assert.rejects(schema.addString('score').update(), code(255, /Field score exists, cannot update/));
      await assert.rejects(schema.deleteField('nope').update(), code(255, /does not exist, cannot delete/));
      await assert.rejects(schema.addIndex('i', { nope: 1 }).update(), code(Parse.Error.INVALID_QUERY, /cannot add index/));
    });

    test('a permission object of the SDK', async () => {
      const clp = new Parse.CLP({ find: { '*': true } });
      clp.setPublicWriteAccess(false);
      clp.setRoleReadAccess('admin', true);
      const made = await new Parse.Schema('Ruled').setCLP(clp).save();
      assert.equal(made.classLevelPermissions.find['role:admin'], true);
      assert.equal(made.classLevelPermissions.create['*'], undefined);
    });

    test('all classes', async () => {
      const names = (await Parse.Schema.all()).map((s) => s.className);
      for (const name of ['Everything', 'Game', '_User', '_Role', '_Session', '_Installation']) assert.ok(names.includes(name), name);
      assert.ok(!names.includes('_Hooks'));
    });

    test('a class is emptied, then removed', async () => {
      const schema = new Parse.Schema('Everything');
      await assert.rejects(schema.delete(), code(255, /not empty, contains 1 objects/));
      await schema.purge();
      assert.equal(await new Parse.Query('Everything').count(master), 0);
      await schema.delete();
      await assert.rejects(schema.get(), code(Parse.Error.INVALID_CLASS_NAME, /does not exist/));
    });

    test('clients cannot', async () => {
      const request = (method, path) => Parse.CoreManager.getRESTController().request(method, path, {});
      for (const [method, path] of [['GET', 'schemas/'], ['POST', 'schemas/X'], ['PUT', 'schemas/_User'], ['DELETE', 'schemas/Game'], ['DELETE', 'purge/Game']]) {
        await assert.rejects(request(method, path), /Permission denied/, `${method} ${path}`);
      }
      assert.equal(await new Parse.Query('Game').count(master), 1);
    });
  });
}
