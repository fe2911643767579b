// Classes made, changed and removed by Parse.Schema of the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, databases, master, openSchema, start } from './harness.js';

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

    test('mistakes have the errors of the protocol', async () => {
      const schema = () => new Parse.Schema('Mistaken');
      await schema().addGeoPoint('here').addString('name').save();
      await assert.rejects(schema().addGeoPoint('there').update(), code(Parse.Error.INCORRECT_TYPE, /only one GeoPoint field may exist in an object. Adding there when here already exists/));
      await assert.rejects(schema().addNumber('1st').update(), code(Parse.Error.INVALID_KEY_NAME, /invalid field name: 1st/));
      await assert.rejects(schema().addNumber('objectId').update(), code(255, /Field objectId exists, cannot update/));
      await assert.rejects(schema().deleteField('createdAt').update(), code(136, /field createdAt cannot be changed/));
      await assert.rejects(schema().addPointer('p', '1z').update(), code(Parse.Error.INVALID_CLASS_NAME, /Invalid classname: 1z/));
      await assert.rejects(schema().addString('s', { defaultValue: 1 }).update(), code(Parse.Error.INCORRECT_TYPE, /default value; expected String but got Number/));
      await assert.rejects(schema().deleteIndex('none').update(), code(Parse.Error.INVALID_QUERY, /Index none does not exist, cannot delete/));
      await assert.rejects(schema().setCLP({ find: { '*': false } }).update(), code(Parse.Error.INVALID_JSON, /'false' is not a valid value for class level permissions acl find:\*/));
      await assert.rejects(schema().setCLP({ protectedFields: { '*': ['nope'] } }).update(), code(Parse.Error.INVALID_JSON, /Field 'nope' in protectedFields:\* does not exist/));
      await assert.rejects(new Parse.Schema('1x').save(), code(Parse.Error.INVALID_CLASS_NAME, /Invalid classname: 1x/));
      await assert.rejects(new Parse.Schema('_User').save(), code(Parse.Error.INVALID_CLASS_NAME, /Class _User already exists/));
      await assert.rejects(new Parse.Schema('Nowhere').get(), code(Parse.Error.INVALID_CLASS_NAME, /Class Nowhere does not exist/));
      await assert.rejects(new Parse.Schema('Nowhere').addString('s').update(), code(Parse.Error.INVALID_CLASS_NAME, /Class Nowhere does not exist/));
      const fields = Object.keys((await schema().get()).fields).sort();
      assert.deepEqual(fields, ['ACL', 'createdAt', 'here', 'name', 'objectId', 'updatedAt']);
      await new Parse.Schema('Nowhere').purge();
      await new Parse.Schema('Nowhere').delete();
    });

    test('indexes on text, places, pointers and paths', async () => {
      const made = await new Parse.Schema('Indexed').addString('s').addGeoPoint('g').addPointer('p', '_User').addObject('o')
        .addIndex('words', { s: 'text' }).addIndex('places', { g: '2dsphere' }).addIndex('users', { _p_p: 1, createdAt: -1 }).addIndex('inside', { 'o.k': 1 })
        .save();
      const want = { _id_: { _id: 1 }, words: { s: 'text' }, places: { g: '2dsphere' }, users: { p: 1, createdAt: -1 }, inside: { 'o.k': 1 } };
      assert.deepEqual(made.indexes, want);
      const object = new Parse.Object('Indexed', { s: 'some words', g: new Parse.GeoPoint(1, 2), o: { k: 1 } });
      await object.save(null, master);
      const near = await new Parse.Query('Indexed').near('g', new Parse.GeoPoint(1, 2)).first();
      assert.equal(near.id, object.id);
      const left = await new Parse.Schema('Indexed').deleteIndex('places').deleteField('o').update();
      assert.deepEqual(Object.keys(left.indexes).sort(), ['_id_', 'users', 'words']);
    });

    test('permissions by user field, and the default ACL', async () => {
      const user = await Parse.User.signUp(`ruler-${database.name}`, 'secret');
      const other = await Parse.User.signUp(`other-${database.name}`, 'secret');
      await new Parse.Schema('Owned').addPointer('owner', '_User').addString('secret').setCLP({
        find: { '*': true }, get: { pointerFields: ['owner'] }, create: { requiresAuthentication: true },
        protectedFields: { '*': ['secret'], 'userField:owner': [] },
        ACL: { currentUser: { read: true, write: true }, '*': { read: true } },
      }).save();
      const object = new Parse.Object('Owned', { owner: user, secret: 's' });
      await object.save(null, as(user));
      const acl = (await new Parse.Query('Owned').first(master)).getACL();
      assert.equal(acl.getWriteAccess(user), true);
      assert.equal(acl.getPublicReadAccess(), true);
      assert.equal(acl.getWriteAccess(other), false);
      assert.equal((await new Parse.Query('Owned').first(as(user))).get('secret'), 's');
      assert.equal((await new Parse.Query('Owned').first(as(other))).get('secret'), undefined);
      await new Parse.Schema('Owned').setCLP(null).update();
      assert.deepEqual((await new Parse.Schema('Owned').get()).classLevelPermissions.delete, { '*': true });
      await Parse.User.logOut();
    });

    test('push audiences, and the rows of a relation', async () => {
      const audience = new Parse.Object('_Audience', { name: 'ios', query: '{"deviceType":"ios"}' });
      await audience.save(null, master);
      const rest = (path) => Parse.CoreManager.getRESTController().request('GET', path, {}, master);
      assert.deepEqual((await rest('push_audiences')).results.map((a) => a.query), [{ deviceType: 'ios' }]);
      assert.equal((await new Parse.Query('_Audience').first(master)).get('query'), '{"deviceType":"ios"}');

      await new Parse.Schema('Club').addRelation('members', 'Member').save();
      await new Parse.Schema('Member').save();
      const members = [new Parse.Object('Member'), new Parse.Object('Member')];
      await Parse.Object.saveAll(members, master);
      const club = new Parse.Object('Club');
      club.relation('members').add(members);
      await club.save(null, master);
      const rows = (await rest('classes/_Join:members:Club')).results;
      assert.deepEqual(rows.map((r) => r.relatedId).sort(), members.map((m) => m.id).sort());
      assert.ok(rows.every((r) => r.owningId === club.id));
      await assert.rejects(new Parse.Query('_Join:members:Club').find(), code(Parse.Error.OPERATION_FORBIDDEN));
    });

    test('clients cannot', async () => {
      const request = (method, path) => Parse.CoreManager.getRESTController().request(method, path, {});
      for (const [method, path] of [['GET', 'schemas/'], ['POST', 'schemas/X'], ['PUT', 'schemas/_User'], ['DELETE', 'schemas/Game'], ['DELETE', 'purge/Game']]) {
        await assert.rejects(request(method, path), /Permission denied/, `${method} ${path}`);
      }
      assert.equal(await new Parse.Query('Game').count(master), 1);
    });

    test('another server on the database sees a change', { skip: database.name === 'sqlite' && 'the file has one user at a time' }, async () => {
      const second = await start(database, [], { schema: openSchema, dir: server.dir });
      try {
        await new Parse.Schema('Shared').addNumber('n').setCLP({ find: { '*': true } }).save();
        second.use();
        // Its first write meets the permissions, whether it has looked or not.
        await assert.rejects(new Parse.Object('Shared').save({ n: 1 }), code(Parse.Error.OPERATION_FORBIDDEN));
        const until = Date.now() + 20_000;
        while (!(await Parse.Schema.all()).some((c) => c.className === 'Shared')) assert.ok(Date.now() < until, 'the class is not seen');
        await new Parse.Schema('Shared').addString('more').update();
        await new Parse.Object('Shared').save({ n: 1, more: 'x' }, master);
      } finally {
        server.use();
        await second.stop({ keep: true });
      }
    });
  });
}
