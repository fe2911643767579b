// What goes wrong is told as the Parse.Error that applications look for, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, databases, freely, master, openSchema, schemaOf, start } from './harness.js';

// forbidden is a check for what keys that are none answer: 403 without a code.
const forbidden = (error) => {
  assert.match(error.message, /unauthorized/);
  return true;
};

for (const database of databases()) {
  describe(`errors on ${database.name}`, () => {
    let server;
    let user;

    before(async () => {
      server = await start(database, [...freely, '--maxLimit', '3', '--readOnlyMasterKey', 'read-only', '--maxUploadSize', '200kb'], {
        schema: schemaOf([{ className: 'Strict', fields: { name: { type: 'String', required: true }, n: { type: 'Number', validate: { minimum: 1 } } } }]),
      });
      server.use();
      user = await new Parse.User({ username: 'u', password: 'p' }).signUp();
      await Parse.Object.saveAll([1, 2, 3, 4, 5].map((n) => new Parse.Object('Thing', { n, s: `s${n}` })));
    });
    after(() => server.stop());

    const query = () => new Parse.Query('Thing');

    test('a session that is none, on every kind of request', async () => {
      const bad = { sessionToken: 'r:00000000000000000000000000000000' };
      const invalid = code(Parse.Error.INVALID_SESSION_TOKEN, /^Invalid session token$/);
      await assert.rejects(query().find(bad), invalid);
      await assert.rejects(query().count(bad), invalid);
      await assert.rejects(new Parse.Object('Thing').save({ n: 6 }, bad), invalid);
      await assert.rejects(Parse.Cloud.run('anything', {}, bad), invalid);
      await assert.rejects(Parse.User.me(bad.sessionToken), invalid);
      const both = [new Parse.Object('Thing'), new Parse.Object('Thing')];
      await assert.rejects(Parse.Object.saveAll(both, bad), (errors) => {
        assert.deepEqual(errors.map((e) => e.message), ['Invalid session token', 'Invalid session token']);
        return true;
      });
      await assert.rejects(query().find({ sessionToken: 'nonsense' }), invalid);
      assert.equal(await query().count(), 5, 'nothing was written');
    });

    const condition = (key, op, value) => () => query()._addCondition(key, op, value);
    const bad = {
      'an operator that is none': [condition('n', '$weird', 1), Parse.Error.INVALID_JSON],
      'a pattern that is none': [() => query().matches('s', '('), Parse.Error.INVALID_QUERY],
      'a pattern that is no text': [condition('s', '$regex', 5), Parse.Error.INVALID_QUERY],
      'a list that is none': [condition('n', '$in', 5), Parse.Error.INVALID_JSON],
      'alternatives that are no list': [() => query().withJSON({ where: { $or: { n: 1 } } }), Parse.Error.INVALID_QUERY],
      'a sub-query without a class': [condition('n', '$inQuery', { where: {} }), Parse.Error.INVALID_QUERY],
      'a key selection without a key': [condition('n', '$select', { query: { className: 'Thing' } }), Parse.Error.INVALID_QUERY],
      'a field name that is none': [() => query().equalTo('a b', 1), Parse.Error.INVALID_KEY_NAME],
      'an order that is none': [() => query().ascending('a-b'), Parse.Error.INVALID_KEY_NAME],
      'an internal field': [() => query().equalTo('_hashed_password', 'x'), Parse.Error.INVALID_KEY_NAME],
    };
    for (const [what, [build, want]] of Object.entries(bad)) {
      test(`a query with ${what}`, async () => {
        await assert.rejects(build().find(), code(want));
        if (!/order/.test(what)) await assert.rejects(build().count(), code(want));
      });
    }

    test('constraints that are not served are refused, never ignored', async () => {
      for (const operator of ['$elemMatch', '$size', '$type', '$mod', '$not']) {
        await assert.rejects(query()._addCondition('s', operator, 1).find(), code(Parse.Error.INVALID_JSON));
      }
    });

    test('internal fields of users are neither found by nor shown', async () => {
      const users = () => new Parse.Query(Parse.User);
      for (const field of ['_hashed_password', '_perishable_token', '_session_token']) {
        await assert.rejects(users().startsWith(field, '$2').find(as(user)), code(Parse.Error.INVALID_KEY_NAME));
      }
      const shown = await users().get(user.id, master);
      assert.deepEqual(Object.keys(shown.attributes).sort(), ['ACL', 'createdAt', 'updatedAt', 'username']);
      await assert.rejects(users().equalTo('email', 'x@example.com').find(as(user)), code(Parse.Error.OPERATION_FORBIDDEN));
    });

    test('objects that are refused', async () => {
      const strict = (fields) => new Parse.Object('Strict').save(fields);
      await assert.rejects(strict({}), code(Parse.Error.VALIDATION_ERROR, /^name is required$/));
      await assert.rejects(strict({ name: 'x', n: 0 }), code(Parse.Error.VALIDATION_ERROR, /^n: /));
      await assert.rejects(strict({ name: 5 }), code(Parse.Error.INCORRECT_TYPE, /^schema mismatch for Strict\.name; expected String but got Number$/));
      await assert.rejects(new Parse.Object('Thing').save({ n: 'x' }), code(Parse.Error.INCORRECT_TYPE));
      await assert.rejects(new Parse.Object('_Hooks').save({ a: 1 }), code(Parse.Error.OPERATION_FORBIDDEN));
      await assert.rejects(new Parse.Object('_Join:users:_Role').save({ a: 1 }), code(Parse.Error.OPERATION_FORBIDDEN));
      const object = await strict({ name: 'x', n: 2 });
      object.unset('name');
      await assert.rejects(object.save(), code(Parse.Error.VALIDATION_ERROR, /^name is required$/));
      object.revert();
      object.increment('n', -5);
      await assert.rejects(object.save(), code(Parse.Error.VALIDATION_ERROR));
      assert.equal((await new Parse.Query('Strict').get(object.id)).get('n'), 2);
    });

    test('a body that is too large', async () => {
      await assert.rejects(new Parse.Object('Thing').save({ s: 'x'.repeat(300_000) }), (error) => error instanceof Parse.Error || /large/.test(error.message));
      assert.equal(await query().count(), 5);
    });

    test('limits', async () => {
      assert.equal((await query().limit(1000).find()).length, 3, 'maxLimit');
      assert.equal((await query().find()).length, 5, 'which leaves the default limit alone');
      assert.equal((await query().findAll({ batchSize: 3 })).length, 5);
    });

    test('functions that are not there', async () => {
      await assert.rejects(Parse.Cloud.run('nothing', { a: 1 }), code(Parse.Error.SCRIPT_FAILED, /^Invalid function: "nothing"$/));
    });

    test('keys that are none', async () => {
      const initialize = (appId, masterKey) => Parse.initialize(appId, undefined, masterKey);
      try {
        initialize('another', server.masterKey);
        await assert.rejects(query().find(), forbidden);
        initialize(server.appId, 'guessed');
        assert.equal((await query().find(master)).length, 5, 'a guessed master key makes a client, no more');
        await assert.rejects(new Parse.Query('_Hooks').find(master), code(Parse.Error.OPERATION_FORBIDDEN));
        await assert.rejects(new Parse.Query(Parse.User).get(user.id, master), code(Parse.Error.OBJECT_NOT_FOUND));
        initialize(server.appId, 'read-only');
        assert.equal((await new Parse.Query(Parse.User).get(user.id, master)).id, user.id);
        await assert.rejects(new Parse.Object('Thing').save({ n: 9 }, master), code(Parse.Error.OPERATION_FORBIDDEN));
        await assert.rejects((await query().first()).destroy(master), code(Parse.Error.OPERATION_FORBIDDEN));
      } finally {
        server.use();
      }
    });

    test('errors are JSON, whatever is asked', async () => {
      const headers = { 'X-Parse-Application-Id': server.appId };
      const cases = [
        ['POST', '/classes/Thing', '{"a":', 400],
        ['POST', '/classes/Thing', '[1]', 400],
        ['GET', '/classes/Thing?where={', undefined, 400, Parse.Error.INVALID_JSON],
        ['GET', '/classes/Thing?nonsense=1', undefined, 400, Parse.Error.INVALID_QUERY],
        ['GET', '/classes/Thing/nosuchobjt', undefined, 404, Parse.Error.OBJECT_NOT_FOUND],
        ['PUT', '/classes/Thing/nosuchobjt', '{}', 404, Parse.Error.OBJECT_NOT_FOUND],
        ['POST', '/batch', '{"requests":5}', 400, Parse.Error.INVALID_JSON],
      ];
      for (const [method, path, body, status, want] of cases) {
        const answer = await fetch(server.url + path, { method, headers, body });
        const json = await answer.json();
        assert.equal(answer.status, status, `${method} ${path}: ${JSON.stringify(json)}`);
        if (want) assert.equal(json.code, want, `${method} ${path}: ${json.error}`);
        assert.equal(typeof json.error, 'string', `${method} ${path}`);
      }
    });
  });

  describe(`a server with a javascriptKey on ${database.name}`, () => {
    let server;
    before(async () => { server = await start(database, [...freely, '--javascriptKey', 'js-key'], { schema: openSchema }); });
    after(() => server.stop());

    test('lets in those who have it, or the master key', async () => {
      server.use('js-key');
      const thing = await new Parse.Object('Thing').save({ n: 1 });
      await Parse.Object.saveAll([new Parse.Object('Thing'), new Parse.Object('Thing')]);
      const user = await new Parse.User({ username: 'u', password: 'p' }).signUp();
      assert.equal((await Parse.User.me(user.getSessionToken())).id, user.id);
      for (const key of ['another', undefined]) {
        server.use(key);
        await assert.rejects(new Parse.Query('Thing').find(), forbidden);
        await assert.rejects(Parse.User.logIn('u', 'p'), forbidden);
        await assert.rejects(thing.save({ n: 2 }), forbidden);
        thing.revert();
        assert.equal((await new Parse.Query('Thing').get(thing.id, master)).get('n'), 1);
      }
    });
  });

  describe(`a closed server on ${database.name}`, () => {
    let server;
    before(async () => {
      server = await start(database, ['--masterKeyIps', '10.1.2.3', '--enableSanitizedErrorResponse', 'false', '--routeAllowList', '["classes/[A-Za-z]+"]'], {
        schema: schemaOf([{ className: 'Known', fields: { a: { type: 'Number' } }, classLevelPermissions: { find: {}, get: {}, create: { '*': true } } }]),
      });
      server.use();
    });
    after(() => server.stop());

    test('classes are not made by clients', async () => {
      await assert.rejects(new Parse.Object('Unknown').save(), code(Parse.Error.OPERATION_FORBIDDEN, /not allowed to access non-existent class: Unknown$/));
      await assert.rejects(new Parse.Query('Unknown').find(), code(Parse.Error.OPERATION_FORBIDDEN));
    });

    test('the master key is refused from an address that is not listed', async () => {
      await assert.rejects(new Parse.Query('Known').find(master), forbidden);
    });

    test('errors say more where the operator wants that', async () => {
      await new Parse.Object('Known').save({ a: 1 });
      await assert.rejects(new Parse.Query('Known').find(), code(Parse.Error.OPERATION_FORBIDDEN, /^Permission denied for action find on class Known\.$/));
    });

    test('routes that are not listed are closed', async () => {
      await assert.rejects(Parse.Cloud.run('any'), code(Parse.Error.OPERATION_FORBIDDEN));
    });
  });

  describe(`a server that is gone on ${database.name}`, () => {
    test('is a failed connection, and its data are there when it is back', async () => {
      let server = await start(database, freely, { schema: openSchema });
      server.use();
      const { dir, port } = server;
      const thing = await new Parse.Object('Thing').save({ n: 1, when: new Date(5) });
      const user = await new Parse.User({ username: 'u', password: 'p' }).signUp();
      await server.stop({ keep: true });
      const attempts = Parse.CoreManager.get('REQUEST_ATTEMPT_LIMIT');
      Parse.CoreManager.set('REQUEST_ATTEMPT_LIMIT', 1);
      try {
        await assert.rejects(new Parse.Query('Thing').find(), code(Parse.Error.CONNECTION_FAILED));
      } finally {
        Parse.CoreManager.set('REQUEST_ATTEMPT_LIMIT', attempts);
      }
      server = await start(database, freely, { schema: openSchema, dir, port });
      try {
        assert.equal((await new Parse.Query('Thing').get(thing.id)).get('when').getTime(), 5);
        assert.equal((await Parse.User.me(user.getSessionToken())).id, user.id);
      } finally {
        await server.stop();
      }
    });
  });
}
