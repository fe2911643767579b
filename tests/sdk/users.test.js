// Users, sessions, roles and class-level permissions, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, databases, freely, master, openSchema, schemaOf, start } from './harness.js';

const token = /^r:[0-9a-f]{32}$/;
const signUp = (name, more = {}, options) => new Parse.User({ username: name, password: `pw-${name}`, ...more }).signUp(null, options);

// withCurrentUser runs f as a browser would: with a user of this process who is logged in.
async function withCurrentUser(f) {
  Parse.User.enableUnsafeCurrentUser();
  try {
    await f();
  } finally {
    if (await Parse.User.currentAsync()) await Parse.User.logOut().catch(() => {});
    Parse.User.disableUnsafeCurrentUser();
  }
}

for (const database of databases()) {
  describe(`users on ${database.name}`, () => {
    let server;

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
    });
    after(() => server.stop());

    test('sign-up', async () => {
      const user = await signUp('ann', { email: 'ann@example.com', phone: '123' });
      assert.match(user.getSessionToken(), token);
      assert.equal(user.get('password'), undefined);
      assert.equal(user.existed(), false);
      const me = await new Parse.Query(Parse.User).get(user.id, as(user));
      assert.deepEqual([me.getUsername(), me.getEmail(), me.get('phone')], ['ann', 'ann@example.com', '123']);
      assert.deepEqual(me.getACL().toJSON(), { [user.id]: { read: true, write: true } });
      await assert.rejects(new Parse.Query(Parse.User).get(user.id), code(Parse.Error.OBJECT_NOT_FOUND));
    });

    test('sign-up that is refused', async () => {
      await assert.rejects(signUp('ann'), code(Parse.Error.USERNAME_TAKEN, /^Account already exists for this username\.$/));
      await assert.rejects(signUp('ANN'), code(Parse.Error.USERNAME_TAKEN));
      await assert.rejects(signUp('ann2', { email: 'ann@example.com' }), code(Parse.Error.EMAIL_TAKEN, /^Account already exists for this email address\.$/));
      await assert.rejects(signUp('ann2', { email: 'Ann@Example.com' }), code(Parse.Error.EMAIL_TAKEN));
      await assert.rejects(signUp('ann2', { email: 'nowhere' }), code(Parse.Error.INVALID_EMAIL_ADDRESS));
      await assert.rejects(signUp(''), { code: Parse.Error.OTHER_CAUSE });
      await assert.rejects(signUp('ann2', { emailVerified: true }), code(Parse.Error.OPERATION_FORBIDDEN));
      assert.equal(await new Parse.Query(Parse.User).count(master), 1);
    });

    test('many who want one name: one gets it', async () => {
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => signUp('wanted')));
      assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
      for (const r of results.filter((r) => r.status === 'rejected')) assert.equal(r.reason.code, Parse.Error.USERNAME_TAKEN);
    });

    test('log-in by name and by address', async () => {
      const user = await Parse.User.logIn('ann', 'pw-ann');
      assert.match(user.getSessionToken(), token);
      assert.equal(user.get('phone'), '123');
      assert.equal(user.get('email'), 'ann@example.com');
      assert.equal((await Parse.User.logIn('ann@example.com', 'pw-ann')).id, user.id);
      for (const [name, password] of [['ann', 'wrong'], ['nobody', 'pw-ann'], ['ANN', 'pw-ann']]) {
        await assert.rejects(Parse.User.logIn(name, password), code(Parse.Error.OBJECT_NOT_FOUND, /^Invalid username\/password\.$/));
      }
      const verified = await Parse.User.verifyPassword('ann', 'pw-ann');
      assert.deepEqual([verified.objectId, verified.sessionToken], [user.id, undefined]);
      await assert.rejects(Parse.User.verifyPassword('ann', 'wrong'), code(Parse.Error.OBJECT_NOT_FOUND));
    });

    test('a session: become, me, current, log-out', async () => {
      const user = await Parse.User.logIn('ann', 'pw-ann');
      const session = user.getSessionToken();
      assert.equal((await Parse.User.me(session)).id, user.id);
      await withCurrentUser(async () => {
        await Parse.User.become(session);
        assert.equal(Parse.User.current().id, user.id);
        assert.equal(Parse.Session.isCurrentSessionRevocable(), true);
        const current = await Parse.Session.current();
        assert.equal(current.getSessionToken(), session);
        assert.equal(current.get('user').id, user.id);
        assert.deepEqual(current.get('createdWith'), { action: 'login', authProvider: 'password' });
        assert.ok(current.get('expiresAt') > new Date(Date.now() + 300 * 86_400_000));
        assert.equal(current.get('installationId'), await Parse._getInstallationId());
        await Parse.User.logOut();
        assert.equal(Parse.User.current(), null);
      });
      await assert.rejects(Parse.User.me(session), code(Parse.Error.INVALID_SESSION_TOKEN));
      await assert.rejects(new Parse.Query('Any').find({ sessionToken: session }), code(Parse.Error.INVALID_SESSION_TOKEN, /^Invalid session token$/));
    });

    test('sessions are seen by their user alone', async () => {
      const ann = await Parse.User.logIn('ann', 'pw-ann');
      const bob = await signUp('bob');
      const mine = await new Parse.Query(Parse.Session).find(as(ann));
      assert.deepEqual([...new Set(mine.map((s) => s.get('user').id))], [ann.id]);
      const bobs = await new Parse.Query(Parse.Session).equalTo('user', bob).first(master);
      await assert.rejects(new Parse.Query(Parse.Session).get(bobs.id, as(ann)), code(Parse.Error.OBJECT_NOT_FOUND));
      await assert.rejects(bobs.destroy(as(ann)), code(Parse.Error.OBJECT_NOT_FOUND));
      await assert.rejects(new Parse.Query(Parse.Session).find(), code(Parse.Error.INVALID_SESSION_TOKEN));
      await bobs.destroy(as(bob));
      await assert.rejects(Parse.User.me(bob.getSessionToken()), code(Parse.Error.INVALID_SESSION_TOKEN));
    });

    test('one session for each installation', async () => {
      const one = await Parse.User.logIn('ann', 'pw-ann', { installationId: 'phone' });
      const two = await Parse.User.logIn('ann', 'pw-ann', { installationId: 'tablet' });
      const again = await Parse.User.logIn('ann', 'pw-ann', { installationId: 'phone' });
      await assert.rejects(Parse.User.me(one.getSessionToken()), code(Parse.Error.INVALID_SESSION_TOKEN));
      assert.equal((await Parse.User.me(two.getSessionToken())).id, two.id);
      assert.equal((await Parse.User.me(again.getSessionToken())).id, two.id);
    });

    test('a user changes itself and nobody else', async () => {
      const [carl, dora] = [await signUp('carl', { email: 'carl@example.com' }), await signUp('dora')];
      await carl.save({ phone: '42', email: 'new@example.com' }, as(carl));
      await carl.fetch(as(carl));
      assert.deepEqual([carl.get('phone'), carl.get('email')], ['42', 'new@example.com']);
      await assert.rejects(carl.save({ phone: '666' }, as(dora)), code(Parse.Error.SESSION_MISSING));
      await assert.rejects(carl.destroy(as(dora)), code(Parse.Error.SESSION_MISSING));
      carl.revert();
      const unknown = Parse.User.createWithoutData(carl.id);
      await assert.rejects(unknown.save({ phone: '666' }), (error) => /Cannot modify user|Permission denied/.test(error.message) || error.code === Parse.Error.SESSION_MISSING);
      await assert.rejects(carl.save({ username: 'dora' }, as(carl)), code(Parse.Error.USERNAME_TAKEN));
      carl.revert();
      await carl.save({ username: 'charles' }, as(carl));
      assert.equal((await Parse.User.logIn('charles', 'pw-carl')).id, carl.id);
      assert.equal((await new Parse.Query(Parse.User).get(carl.id, master)).get('phone'), '42');
    });

    test('a new password ends the sessions and gives a new one', async () => {
      const user = await signUp('eve');
      const [old, other] = [user.getSessionToken(), await Parse.User.logIn('eve', 'pw-eve', { installationId: 'other' })];
      await user.save({ password: 'changed' }, as(user));
      assert.match(user.getSessionToken(), token);
      assert.notEqual(user.getSessionToken(), old);
      assert.equal((await Parse.User.me(user.getSessionToken())).id, user.id);
      for (const gone of [old, other.getSessionToken()]) await assert.rejects(Parse.User.me(gone), code(Parse.Error.INVALID_SESSION_TOKEN));
      await assert.rejects(Parse.User.logIn('eve', 'pw-eve'), code(Parse.Error.OBJECT_NOT_FOUND));
      assert.equal((await Parse.User.logIn('eve', 'changed')).id, user.id);
    });

    test('the master key changes anybody and logs in as anybody', async () => {
      const user = await signUp('fay');
      await user.save({ phone: '7' }, master);
      assert.equal((await new Parse.Query(Parse.User).equalTo('phone', '7').first(master)).id, user.id);
      const same = await Parse.User.loginAs(user.id);
      assert.match(same.getSessionToken(), token);
      assert.equal((await Parse.User.me(same.getSessionToken())).id, user.id);
      await user.save({ password: 'by master' }, master);
      await assert.rejects(Parse.User.me(same.getSessionToken()), code(Parse.Error.INVALID_SESSION_TOKEN));
      await user.destroy(master);
      await assert.rejects(Parse.User.logIn('fay', 'by master'), code(Parse.Error.OBJECT_NOT_FOUND));
    });

    test('a user that destroys itself is gone, with its session', async () => {
      const user = await signUp('gus');
      const session = user.getSessionToken();
      await user.destroy(as(user));
      await assert.rejects(Parse.User.me(session), code(Parse.Error.INVALID_SESSION_TOKEN));
    });

    test('an anonymous user, and its upgrade', async () => {
      await withCurrentUser(async () => {
        const user = await Parse.AnonymousUtils.logIn();
        assert.equal(user.isCurrent(), true);
        assert.equal(Parse.AnonymousUtils.isLinked(user), true);
        assert.match(user.getSessionToken(), token);
        const note = new Parse.Object('AnonymousNote', { text: 'mine' });
        note.setACL(new Parse.ACL(user));
        await note.save();
        assert.ok(user.getUsername() === undefined || user.getUsername().length > 0);

        const before = user.getSessionToken();
        await user.save({ username: 'hans', password: 'pw-hans', authData: { anonymous: null } });
        assert.notEqual(user.getSessionToken(), before);
        assert.equal(Parse.AnonymousUtils.isLinked(user), false);
        assert.equal((await new Parse.Query('AnonymousNote').get(note.id)).get('text'), 'mine');
        await Parse.User.logOut();
        const back = await Parse.User.logIn('hans', 'pw-hans');
        assert.equal(back.id, user.id);
        assert.equal((await new Parse.Query('AnonymousNote').get(note.id)).get('text'), 'mine');
        assert.equal((await new Parse.Query(Parse.User).get(user.id, master)).get('authData'), undefined);
      });
    });

    test('the same anonymous id is the same user', async () => {
      const authData = { id: '11111111-2222-3333-4444-555555555555' };
      const first = await Parse.User.logInWith('anonymous', { authData });
      const second = await Parse.User.logInWith('anonymous', { authData });
      assert.equal(second.id, first.id);
      assert.equal(second.existed(), true);
      await assert.rejects(Parse.User.logInWith('unheardof', { authData }), code(Parse.Error.UNSUPPORTED_SERVICE));
    });

    test('the current user is sent with what it does', async () => {
      await withCurrentUser(async () => {
        const user = await Parse.User.logIn('ann', 'pw-ann');
        const note = new Parse.Object('Diary');
        note.setACL(new Parse.ACL(user));
        await note.save({ text: 'dear' });
        assert.equal((await new Parse.Query('Diary').find()).length, 1);
        await Parse.User.logOut();
        assert.equal((await new Parse.Query('Diary').find()).length, 0);
      });
    });
  });

  describe(`roles on ${database.name}`, () => {
    let server;
    let ann;
    let ben;
    let cat;

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      [ann, ben, cat] = [await signUp('role-ann'), await signUp('role-ben'), await signUp('role-cat')];
    });
    after(() => server.stop());

    const forRole = async (name) => {
      const object = new Parse.Object('RoleDoc', { name });
      const acl = new Parse.ACL();
      acl.setRoleReadAccess(name, true);
      acl.setRoleWriteAccess(name, true);
      object.setACL(acl);
      await object.save();
      return object;
    };
    const reads = async (user, object) => (await new Parse.Query('RoleDoc').equalTo('objectId', object.id).count(as(user))) === 1;

    test('a role opens what its ACL names, nested roles too, and closes it again', async () => {
      const acl = new Parse.ACL();
      acl.setPublicReadAccess(true);
      const [editors, chiefs, owners] = ['editors', 'chiefs', 'owners'].map((name) => new Parse.Role(name, acl));
      editors.getUsers().add(ann);
      chiefs.getUsers().add(ben);
      owners.getUsers().add(cat);
      await Parse.Object.saveAll([editors, chiefs, owners], master);
      chiefs.getRoles().add(owners);
      await chiefs.save(null, master);
      editors.getRoles().add(chiefs);
      await editors.save(null, master);

      const [forEditors, forChiefs] = [await forRole('editors'), await forRole('chiefs')];
      const seen = async (object) => [await reads(ann, object), await reads(ben, object), await reads(cat, object)];
      assert.deepEqual(await seen(forEditors), [true, true, true], 'chiefs and owners are editors, too');
      assert.deepEqual(await seen(forChiefs), [false, true, true]);
      await forEditors.save({ by: 'cat' }, as(cat));
      await assert.rejects(forChiefs.save({ by: 'ann' }, as(ann)), code(Parse.Error.OBJECT_NOT_FOUND));
      forChiefs.revert();

      chiefs.getRoles().remove(owners);
      await chiefs.save(null, master);
      assert.deepEqual(await seen(forEditors), [true, true, false]);
      editors.getUsers().remove(ann);
      await editors.save(null, master);
      assert.deepEqual(await seen(forEditors), [false, true, false]);
      await chiefs.destroy(master);
      assert.deepEqual(await seen(forChiefs), [false, false, false]);
      assert.deepEqual((await editors.getUsers().query().find(master)).map((u) => u.id), []);
    });

    test('roles are objects of their own', async () => {
      await assert.rejects(new Parse.Role('again', new Parse.ACL()).save({ name: 'x y!' }), /valid name|name/i);
      const acl = new Parse.ACL(ann);
      acl.setPublicReadAccess(true);
      const role = await new Parse.Role('club', acl).save(null, as(ann));
      await assert.rejects(new Parse.Role('club', acl).save(null, as(ann)), code(Parse.Error.DUPLICATE_VALUE));
      assert.equal((await new Parse.Query(Parse.Role).equalTo('name', 'club').first()).getName(), 'club');
      role.getUsers().add(ben);
      await assert.rejects(role.save(null, as(ben)), code(Parse.Error.OBJECT_NOT_FOUND));
      await role.save(null, as(ann));
      assert.equal(await reads(ben, await forRole('club')), true);
    });

    test('two users and nested roles have cycles without harm', async () => {
      const [one, two] = [new Parse.Role('one', new Parse.ACL()), new Parse.Role('two', new Parse.ACL())];
      await Parse.Object.saveAll([one, two], master);
      one.getRoles().add(two);
      two.getRoles().add(one);
      one.getUsers().add(ann);
      await Parse.Object.saveAll([one, two], master);
      assert.equal(await reads(ann, await forRole('two')), true);
      assert.equal(await reads(cat, await forRole('two')), false);
    });
  });

  describe(`class-level permissions on ${database.name}`, () => {
    let server;
    let ann;
    let ben;
    let cat;
    const nobody = { find: {}, get: {}, count: {}, create: {}, update: {}, delete: {}, addField: {} };
    const everybody = Object.fromEntries(Object.keys(nobody).map((op) => [op, { '*': true }]));
    const perms = (more) => ({ ...nobody, ...more });

    before(async () => {
      server = await start(database, [], {
        schema: schemaOf([
          { className: 'Secret', fields: { a: { type: 'String' } }, classLevelPermissions: nobody },
          { className: 'Members', fields: { a: { type: 'String' } }, classLevelPermissions: perms(Object.fromEntries(Object.keys(nobody).map((op) => [op, { requiresAuthentication: true }]))) },
          { className: 'News', fields: { title: { type: 'String', required: true }, hits: { type: 'Number', defaultValue: 0 } },
            classLevelPermissions: perms({ find: { '*': true }, get: { '*': true }, create: { 'role:press': true }, update: { 'role:press': true } }) },
          { className: 'Task', fields: { owner: { type: 'Pointer', targetClass: '_User' }, watchers: { type: 'Array' }, text: { type: 'String' } },
            classLevelPermissions: perms({ create: { requiresAuthentication: true }, find: { pointerFields: ['owner', 'watchers'] }, get: { pointerFields: ['owner', 'watchers'] }, update: { pointerFields: ['owner'] } }) },
          { className: 'Profile', fields: { name: { type: 'String' }, salary: { type: 'Number' }, owner: { type: 'Pointer', targetClass: '_User' } },
            classLevelPermissions: { ...everybody, addField: {}, protectedFields: { '*': ['salary'], 'userField:owner': [], 'role:press': ['name'] } } },
          { className: 'Own', fields: { user: { type: 'Pointer', targetClass: '_User', required: true }, text: { type: 'String', validate: { maxLength: 5 } } }, ownerField: 'user' },
        ]),
      });
      server.use();
      [ann, ben, cat] = [await signUp('clp-ann'), await signUp('clp-ben'), await signUp('clp-cat')];
      const press = new Parse.Role('press', new Parse.ACL());
      press.getUsers().add(cat);
      await press.save(null, master);
    });
    after(() => server.stop());

    const denied = code(Parse.Error.OPERATION_FORBIDDEN);

    test('a class for the master key alone', async () => {
      await assert.rejects(new Parse.Object('Secret').save({ a: 'x' }, as(ann)), denied);
      const secret = await new Parse.Object('Secret').save({ a: 'x' }, master);
      await assert.rejects(new Parse.Query('Secret').find(as(ann)), denied);
      await assert.rejects(new Parse.Query('Secret').count(as(ann)), denied);
      await assert.rejects(new Parse.Query('Secret').get(secret.id, as(ann)), denied);
      await assert.rejects(secret.save({ a: 'y' }, as(ann)), denied);
      await assert.rejects(secret.destroy(as(ann)), denied);
      assert.equal((await new Parse.Query('Secret').get(secret.id, master)).get('a'), 'x');
    });

    test('a class for those who are logged in', async () => {
      const object = await new Parse.Object('Members').save({ a: 'x' }, as(ann));
      assert.equal((await new Parse.Query('Members').find(as(ben))).length, 1);
      await assert.rejects(new Parse.Query('Members').find(), code(Parse.Error.OBJECT_NOT_FOUND));
      await assert.rejects(new Parse.Object('Members').save(), code(Parse.Error.OBJECT_NOT_FOUND));
      await object.destroy(as(ben));
    });

    test('a class that a role writes and all read; required fields and defaults', async () => {
      await assert.rejects(new Parse.Object('News').save({ title: 'x' }, as(ann)), denied);
      await assert.rejects(new Parse.Object('News').save({}, as(cat)), code(Parse.Error.VALIDATION_ERROR, /^title is required$/));
      const news = await new Parse.Object('News').save({ title: 'x' }, as(cat));
      assert.equal(news.get('hits'), 0, 'the default is in the answer');
      assert.equal((await new Parse.Query('News').find())[0].get('hits'), 0);
      await assert.rejects(new Parse.Query('News').count(), denied);
      await assert.rejects(news.save({ fresh: 1 }, as(cat)), denied);
      await assert.rejects(new Parse.Object('Unknown').save(null, as(cat)), denied);
    });

    test('pointer permissions, by one pointer and by a list', async () => {
      const task = await new Parse.Object('Task').save({ owner: ann, watchers: [ben], text: 'x' }, as(ann));
      const counts = [];
      for (const user of [ann, ben, cat]) counts.push((await new Parse.Query('Task').find(as(user))).length);
      assert.deepEqual(counts, [1, 1, 0]);
      await task.save({ text: 'y' }, as(ann));
      await assert.rejects(task.save({ text: 'z' }, as(ben)), code(Parse.Error.OBJECT_NOT_FOUND));
      assert.deepEqual(await new Parse.Query('Task').find(), [], 'nobody is not an owner');
      assert.equal((await new Parse.Query('Task').get(task.id, as(ben))).get('text'), 'y');
    });

    test('protected fields', async () => {
      await new Parse.Object('Profile').save({ name: 'n', salary: 5, owner: ann }, master);
      const seen = async (options) => {
        const o = await new Parse.Query('Profile').first(options);
        return ['name', 'salary'].filter((k) => o.has(k)).join(' ');
      };
      assert.equal(await seen({}), 'name');
      assert.equal(await seen(as(ben)), 'name');
      assert.equal(await seen(as(ann)), 'name salary', 'the owner sees all');
      assert.equal(await seen(master), 'name salary');
      await assert.rejects(new Parse.Query('Profile').greaterThan('salary', 1).find(as(ben)), denied);
      await assert.rejects(new Parse.Query('Profile').ascending('salary').find(as(ben)), denied);
    });

    test('an owner field', async () => {
      const own = await new Parse.Object('Own').save({ text: 'mine' }, as(ann));
      const got = await new Parse.Query('Own').get(own.id, as(ann));
      assert.equal(got.get('user').id, ann.id);
      assert.deepEqual(await new Parse.Query('Own').find(as(ben)), []);
      await assert.rejects(new Parse.Object('Own').save({ user: ann }, as(ben)), denied);
      await assert.rejects(own.save({ user: ben }, as(ann)));
      own.revert();
      await assert.rejects(own.save({ text: 'too long' }, as(ann)), code(Parse.Error.VALIDATION_ERROR, /text/));
    });
  });
}
