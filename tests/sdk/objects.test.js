// Objects as applications use them: every data type, operation, batch, pointer,
// relation and access list, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, databases, freely, master, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`objects on ${database.name}`, () => {
    let server;

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
    });
    after(() => server.stop());

    // again reads the object anew, with nothing of what this process knows of it.
    const again = (object, options) => new Parse.Query(object.className).get(object.id, options);

    // bare is the object without its data.
    const bare = (object) => Parse.Object.extend(object.className).createWithoutData(object.id);

    const signUp = (name) => new Parse.User({ username: name, password: 'p' }).signUp();

    test('every data type comes back as it was sent', async () => {
      const target = await new Parse.Object('Target').save({ name: 'target' });
      const when = new Date('2020-02-29T12:34:56.789Z');
      const fields = {
        string: 'Grüße, 世界 🚀 "quoted" \\ \u0000 \u2028', empty: '', integer: 42, negative: -7, fraction: 0.1, large: 2 ** 53 - 1,
        huge: 1.7976931348623157e308, tiny: 5e-324, yes: true, no: false, when,
        list: [1, 'two', null, [3, [4]], { five: 5 }, when], none: [],
        nested: { a: { b: { c: [1, { d: 'e' }] } }, when, pointer: target.toPointer(), empty: {} },
        geo: new Parse.GeoPoint(52.5, -13.4),
        polygon: new Parse.Polygon([[0, 0], [0, 1], [1, 1], [1, 0]]),
        bytes: { __type: 'Bytes', base64: 'aGVsbG8=' },
        pointer: target,
        file: Parse.File.fromJSON({ __type: 'File', name: 'a.txt', url: 'http://files.example/a.txt' }),
        nothing: null,
      };
      const saved = new Parse.Object('Everything');
      await saved.save(fields);
      assert.match(saved.id, /^[A-Za-z0-9]{10}$/);
      assert.ok(Math.abs(saved.createdAt - Date.now()) < 60_000);
      assert.equal(saved.updatedAt.getTime(), saved.createdAt.getTime());

      const got = await again(saved);
      for (const name of ['string', 'empty', 'integer', 'negative', 'fraction', 'large', 'huge', 'tiny', 'yes', 'no', 'list', 'none', 'bytes']) {
        assert.deepEqual(got.get(name), fields[name], name);
      }
      assert.ok(got.get('when') instanceof Date);
      assert.equal(got.get('when').getTime(), when.getTime());
      assert.deepEqual(got.get('nested').a, fields.nested.a);
      assert.deepEqual(got.get('nested').empty, {});
      assert.equal(got.get('nested').when.getTime(), when.getTime());
      assert.equal(got.get('nested').pointer.id, target.id);
      assert.ok(got.get('geo') instanceof Parse.GeoPoint);
      assert.deepEqual(got.get('geo').toJSON(), fields.geo.toJSON());
      assert.ok(got.get('polygon') instanceof Parse.Polygon);
      assert.ok(got.get('polygon').containsPoint(new Parse.GeoPoint(0.5, 0.5)));
      assert.ok(got.get('pointer') instanceof Parse.Object);
      assert.equal(got.get('pointer').id, target.id);
      assert.equal(got.get('pointer').isDataAvailable(), false);
      assert.ok(got.get('file') instanceof Parse.File);
      assert.equal(got.get('file').name(), 'a.txt');
      assert.equal(got.get('nothing'), null);
      assert.equal(got.createdAt.getTime(), saved.createdAt.getTime());
      assert.equal(got.updatedAt.getTime(), saved.updatedAt.getTime());
    });

    test('increment and decrement', async () => {
      const counter = new Parse.Object('Counter');
      counter.increment('fresh');
      await counter.save({ n: 5 });
      assert.equal(counter.get('fresh'), 1);
      counter.increment('n');
      counter.increment('n', 2.5);
      counter.decrement('fresh', 3);
      counter.increment('later', 7);
      await counter.save();
      const got = await again(counter);
      assert.deepEqual([got.get('n'), got.get('fresh'), got.get('later')], [8.5, -2, 7]);
      assert.deepEqual([counter.get('n'), counter.get('fresh'), counter.get('later')], [8.5, -2, 7]);
    });

    test('increments of many at once are all counted, and each is told the result', async () => {
      const counter = await new Parse.Object('Counter').save({ n: 0 });
      const results = await Promise.all(Array.from({ length: 20 }, async () => {
        const other = bare(counter);
        other.increment('n');
        await other.save();
        return other.get('n');
      }));
      assert.equal((await again(counter)).get('n'), 20);
      assert.deepEqual(results.sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1));
    });

    test('add, addUnique and remove', async () => {
      const target = await new Parse.Object('Target').save();
      const object = await new Parse.Object('Lists').save({ list: ['a', 'b', 'a'], objects: [{ k: 1 }], points: [target] });
      object.add('list', 'b');
      object.addAll('fresh', [1, 1]);
      await object.save();
      assert.deepEqual((await again(object)).get('list'), ['a', 'b', 'a', 'b']);
      assert.deepEqual((await again(object)).get('fresh'), [1, 1]);

      object.addUnique('list', 'c');
      object.addAllUnique('objects', [{ k: 1 }, { k: 2 }]);
      object.addUnique('points', target);
      await object.save();
      object.addUnique('list', 'c');
      await object.save();
      let got = await again(object);
      assert.deepEqual(got.get('list'), ['a', 'b', 'a', 'b', 'c']);
      assert.deepEqual(got.get('objects'), [{ k: 1 }, { k: 2 }]);
      assert.deepEqual(got.get('points').map((p) => p.id), [target.id]);

      object.remove('list', 'a');
      object.removeAll('objects', [{ k: 1 }]);
      object.remove('points', target);
      await object.save();
      got = await again(object);
      assert.deepEqual(got.get('list'), ['b', 'b', 'c']);
      assert.deepEqual(got.get('objects'), [{ k: 2 }]);
      assert.deepEqual(got.get('points'), []);
      assert.deepEqual(object.get('list'), ['b', 'b', 'c']);

      // Another one's addition in between is not lost, and both see it after saving.
      const other = await again(object);
      other.add('list', 'theirs');
      await other.save();
      object.add('list', 'ours');
      await object.save();
      assert.deepEqual(object.get('list'), ['b', 'b', 'c', 'theirs', 'ours']);
    });

    test('unset and nested set', async () => {
      const object = await new Parse.Object('Nested').save({ gone: 1, stays: 2, o: { a: 1, b: { c: 2 }, n: 1 } });
      object.unset('gone');
      object.unset('never');
      object.set('o.b.c', 3);
      object.set('o.fresh', 'x');
      object.increment('o.n', 4);
      await object.save();
      let got = await again(object);
      assert.equal(got.has('gone'), false);
      assert.equal(got.get('stays'), 2);
      assert.deepEqual(got.get('o'), { a: 1, b: { c: 3 }, n: 5, fresh: 'x' });
      got.set('o.b.c', 4);
      await got.save();
      assert.deepEqual(got.get('o'), { a: 1, b: { c: 4 }, n: 5, fresh: 'x' });
      got.increment('o.n');
      await got.save();
      assert.deepEqual(got.get('o'), { a: 1, b: { c: 4 }, n: 6, fresh: 'x' }, 'the answer holds the result, nested');
      got.unset('o.a');
      await got.save();
      got = await again(object);
      assert.deepEqual(got.get('o'), { b: { c: 4 }, n: 6, fresh: 'x' });
      got.get('o').b.c = 9; // changed in place: the whole value is sent
      await got.save();
      assert.deepEqual((await again(object)).get('o'), { b: { c: 9 }, n: 6, fresh: 'x' });
    });

    test('dirty is what is not saved yet', async () => {
      const object = new Parse.Object('Dirty', { a: 1, o: { x: 1 } });
      assert.equal(object.isNew(), true);
      assert.equal(object.dirty(), true);
      await object.save();
      assert.equal(object.dirty(), false);
      assert.equal(object.isNew(), false);
      assert.equal(object.existed(), false);
      object.set('a', 2);
      object.get('o').x = 2;
      assert.deepEqual(object.dirtyKeys().sort(), ['a', 'o']);
      object.revert('a');
      assert.equal(object.get('a'), 1);
      object.set('o', { x: 2 });
      await object.save();
      assert.deepEqual(object.dirtyKeys(), []);
      assert.equal((await again(object)).existed(), true);

      const stale = await again(object);
      await object.save({ a: 5 });
      stale.set('o', { x: 3 });
      await stale.save();
      assert.equal(stale.get('a'), 1, 'the answer of an update has only what the client cannot know');
      assert.equal(stale.updatedAt > object.updatedAt || stale.updatedAt.getTime() === object.updatedAt.getTime(), true);
      await stale.fetch();
      assert.deepEqual([stale.get('a'), stale.get('o').x], [5, 3]);
    });

    test('unsaved children are saved first', async () => {
      const child = (name) => new Parse.Object('Child', { name });
      const parent = new Parse.Object('Parent', { child: child('a'), list: [child('b'), { deep: child('c') }] });
      await parent.save();
      const got = await new Parse.Query('Parent').include('child', 'list').get(parent.id);
      assert.equal(got.get('child').get('name'), 'a');
      assert.equal(got.get('list')[0].get('name'), 'b');
      assert.equal((await again(got.get('list')[1].deep)).get('name'), 'c');

      const deep = new Parse.Object('Parent', { child: new Parse.Object('Child', { toy: new Parse.Object('Toy', { name: 'ball' }) }) });
      await Parse.Object.saveAll([deep]);
      const found = await new Parse.Query('Parent').include('child.toy').get(deep.id);
      assert.equal(found.get('child').get('toy').get('name'), 'ball');
    });

    test('saveAll and destroyAll, over more than one batch', async () => {
      const all = Array.from({ length: 45 }, (_, n) => new Parse.Object('Bulk', { n }));
      await Parse.Object.saveAll(all);
      assert.equal(new Set(all.map((o) => o.id)).size, 45);
      assert.ok(all.every((o) => !o.dirty()));
      assert.equal(await new Parse.Query('Bulk').count(), 45);
      for (const o of all) o.increment('n', 100);
      await Parse.Object.saveAll(all, { batchSize: 10 });
      const numbers = (await new Parse.Query('Bulk').ascending('n').limit(100).find()).map((o) => o.get('n'));
      assert.deepEqual(numbers, Array.from({ length: 45 }, (_, n) => n + 100));
      await Parse.Object.destroyAll(all.slice(1));
      assert.deepEqual((await new Parse.Query('Bulk').find()).map((o) => o.id), [all[0].id]);
    });

    test('fetchAll, fetchAllIfNeeded, fetchWithInclude and fetchAllWithInclude', async () => {
      const Item = Parse.Object.extend('Item');
      const tag = await new Parse.Object('Tag').save({ label: 'red' });
      const stored = [1, 2, 3].map((n) => new Item({ n, tag }));
      await Parse.Object.saveAll(stored);
      const bare = stored.map((o) => Item.createWithoutData(o.id));
      assert.equal(bare[0].isDataAvailable(), false);
      await Parse.Object.fetchAll(bare);
      assert.deepEqual(bare.map((o) => o.get('n')), [1, 2, 3]);
      assert.equal(bare[0].get('tag').get('label'), undefined);

      await stored[0].save({ n: 10 });
      const mixed = [bare[0], Item.createWithoutData(stored[1].id)];
      await Parse.Object.fetchAllIfNeeded(mixed);
      assert.deepEqual(mixed.map((o) => o.get('n')), [1, 2], 'the first one had its data');

      const one = await Item.createWithoutData(stored[2].id).fetchWithInclude('tag');
      assert.equal(one.get('tag').get('label'), 'red');
      const many = await Parse.Object.fetchAllWithInclude(stored.map((o) => Item.createWithoutData(o.id)), ['tag']);
      assert.deepEqual(many.map((o) => o.get('tag').get('label')), ['red', 'red', 'red']);
      assert.equal(await stored[0].exists(), true);

      await stored[0].destroy();
      assert.equal(await stored[0].exists(), false);
      await assert.rejects(Item.createWithoutData(stored[0].id).fetch(), code(Parse.Error.OBJECT_NOT_FOUND, /^Object not found\.$/));
      await assert.rejects(Parse.Object.fetchAll(stored.map((o) => Item.createWithoutData(o.id))), code(Parse.Error.OBJECT_NOT_FOUND));
    });

    test('createWithoutData writes without reading', async () => {
      const Thing = Parse.Object.extend('Thing');
      const thing = await new Thing().save({ a: 1, b: 2 });
      await Thing.createWithoutData(thing.id).save({ b: 3 });
      await thing.fetch();
      assert.deepEqual([thing.get('a'), thing.get('b')], [1, 3]);
      await assert.rejects(Thing.createWithoutData('nosuchobjt').save({ b: 3 }), code(Parse.Error.OBJECT_NOT_FOUND));
      await Thing.createWithoutData(thing.id).destroy();
      await assert.rejects(thing.destroy(), code(Parse.Error.OBJECT_NOT_FOUND));
    });

    test('errors of a batch', async () => {
      const Thing = Parse.Object.extend('Thing');
      const there = [new Thing({ n: 1 }), new Thing({ n: 2 })];
      await Parse.Object.saveAll(there);
      const gone = Thing.createWithoutData('nosuchobjt');
      await assert.rejects(Parse.Object.destroyAll([there[0], gone, there[1]]), (error) => {
        assert.equal(error.code, Parse.Error.AGGREGATE_ERROR);
        assert.equal(error.errors.length, 1);
        assert.equal(error.errors[0].code, Parse.Error.OBJECT_NOT_FOUND);
        assert.equal(error.errors[0].object.id, gone.id);
        return true;
      });
      assert.equal(await new Parse.Query('Thing').containedIn('objectId', there.map((o) => o.id)).count(), 0, 'the others are destroyed');

      const good = new Thing({ n: 3 });
      const bad = new Thing({ n: 'three' });
      await assert.rejects(Parse.Object.saveAll([good, bad]),
        code(Parse.Error.INCORRECT_TYPE, /^schema mismatch for Thing\.n; expected Number but got String$/));
      assert.ok(good.id);
      assert.equal(bad.id, undefined);
    });

    test('a batch in a transaction is all or nothing', async (t) => {
      const Account = Parse.Object.extend('Account');
      const [one, two] = [new Account({ amount: 10 }), new Account({ amount: 10 })];
      await Parse.Object.saveAll([one, two], { transaction: true });
      one.increment('amount', -5);
      two.increment('amount', 5);
      await Parse.Object.saveAll([one, two], { transaction: true });
      const amounts = async () => (await new Parse.Query('Account').ascending('amount').find()).map((o) => o.get('amount'));
      assert.deepEqual(await amounts(), [5, 15]);

      const attempts = Parse.CoreManager.get('REQUEST_ATTEMPT_LIMIT');
      t.after(() => Parse.CoreManager.set('REQUEST_ATTEMPT_LIMIT', attempts));
      Parse.CoreManager.set('REQUEST_ATTEMPT_LIMIT', 1);
      one.increment('amount', -5);
      const missing = Account.createWithoutData('nosuchobjt');
      missing.increment('amount', 5);
      await assert.rejects(Parse.Object.saveAll([one, new Account({ amount: 1 }), missing], { transaction: true }));
      assert.deepEqual(await amounts(), [5, 15], 'nothing of it was done');
    });

    test('a pointer has one class, and every field one type', async () => {
      const object = await new Parse.Object('Typed').save({ p: await new Parse.Object('Target').save(), n: 1, s: 's' });
      await assert.rejects(object.save({ p: await new Parse.Object('Toy').save() }),
        code(Parse.Error.INCORRECT_TYPE, /expected Pointer<Target> but got Pointer<Toy>/));
      object.revert();
      const blind = bare(object);
      blind.increment('s');
      await assert.rejects(blind.save(), code(Parse.Error.INCORRECT_TYPE, /expected String but got Number/));
      object.set('n', null);
      await object.save();
      assert.equal((await again(object)).get('n') ?? null, null);
    });

    test('relations', async () => {
      const album = await new Parse.Object('Album').save({ title: 'A' });
      const songs = Array.from({ length: 4 }, (_, n) => new Parse.Object('Song', { n }));
      await Parse.Object.saveAll(songs);
      album.relation('songs').add(songs.slice(0, 3));
      await album.save();
      const numbers = async (query) => (await query.ascending('n').find()).map((s) => s.get('n'));
      assert.deepEqual(await numbers(album.relation('songs').query()), [0, 1, 2]);
      assert.deepEqual(await numbers(album.relation('songs').query().greaterThan('n', 0)), [1, 2]);

      album.relation('songs').remove(songs[0]);
      album.relation('songs').add(songs[3]);
      await album.save();
      album.relation('songs').add(songs[3]);
      await album.save();
      const fresh = await again(album);
      assert.equal(fresh.relation('songs').targetClassName, 'Song');
      assert.deepEqual(await numbers(fresh.relation('songs').query()), [1, 2, 3]);
      assert.equal(await fresh.relation('songs').query().count(), 3);

      // Which albums have the song?
      await new Parse.Object('Album').save({ title: 'B' });
      assert.deepEqual((await new Parse.Query('Album').equalTo('songs', songs[1]).find()).map((a) => a.id), [album.id]);
      assert.deepEqual(await new Parse.Query('Album').equalTo('songs', songs[0]).find(), []);

      const born = new Parse.Object('Album', { title: 'C' });
      born.relation('songs').add(songs[0]);
      await born.save();
      assert.deepEqual(await numbers(born.relation('songs').query()), [0]);
      await songs[0].destroy();
      assert.deepEqual(await numbers(born.relation('songs').query()), []);

      const blind = bare(born);
      blind.relation('songs').add(await new Parse.Object('Target').save());
      await assert.rejects(blind.save(), code(Parse.Error.INCORRECT_TYPE, /expected Relation<Song> but got Relation<Target>/));
    });

    test('an ACL says who sees and who writes', async () => {
      const [ann, ben] = [await signUp('ann'), await signUp('ben')];
      const note = new Parse.Object('Note', { text: 'private' });
      note.setACL(new Parse.ACL(ann));
      await note.save(null, as(ann));
      assert.deepEqual((await again(note, as(ann))).getACL().toJSON(), { [ann.id]: { read: true, write: true } });
      for (const options of [as(ben), {}]) {
        await assert.rejects(again(note, options), code(Parse.Error.OBJECT_NOT_FOUND));
        assert.deepEqual(await new Parse.Query('Note').find(options), []);
        assert.equal(await new Parse.Query('Note').count(options), 0);
        await assert.rejects(note.save({ text: 'broken' }, options), code(Parse.Error.OBJECT_NOT_FOUND));
        await assert.rejects(note.destroy(options), code(Parse.Error.OBJECT_NOT_FOUND));
      }
      assert.equal((await again(note, master)).get('text'), 'private');

      const acl = new Parse.ACL(ann);
      acl.setPublicReadAccess(true);
      note.revert();
      note.setACL(acl);
      await note.save(null, as(ann));
      assert.equal((await again(note)).get('text'), 'private');
      await assert.rejects(note.save({ text: 'broken' }, as(ben)), code(Parse.Error.OBJECT_NOT_FOUND));

      acl.setWriteAccess(ben, true);
      note.revert();
      note.setACL(acl);
      await note.save(null, as(ann));
      await note.save({ text: 'by ben' }, as(ben));
      assert.equal((await again(note)).get('text'), 'by ben');

      const locked = new Parse.Object('Note');
      locked.setACL(new Parse.ACL());
      await locked.save();
      await assert.rejects(again(locked), code(Parse.Error.OBJECT_NOT_FOUND));
      assert.deepEqual((await again(locked, master)).getACL().toJSON(), {});

      const open = await new Parse.Object('Note').save({ text: 'for all' });
      await bare(open).save({ text: 'by all' }, as(ben));
      assert.equal((await again(open)).get('text'), 'by all');
    });

    test('subclasses, clone and JSON', async () => {
      class Monster extends Parse.Object {
        constructor() { super('Monster'); }
        roar() { return `${this.get('name')}!`; }
      }
      Parse.Object.registerSubclass('Monster', Monster);
      const monster = new Monster();
      await monster.save({ name: 'Grr', friend: await new Parse.Object('Target').save() });
      const got = await again(monster);
      assert.equal(got.roar(), 'Grr!');
      assert.ok(Parse.Object.fromJSON(got._toFullJSON()).equals(got));
      const copy = got.clone();
      await copy.save({ name: 'Copy' });
      assert.notEqual(copy.id, got.id);
      assert.equal(copy.get('friend').id, got.get('friend').id);
    });

    test('names that are none are refused', async () => {
      await assert.rejects(new Parse.Object('No Class').save({ a: 1 }), code(Parse.Error.INVALID_JSON, /class name/));
      await assert.rejects(new Parse.Object('Fine').save({ 'a b': 1 }), code(Parse.Error.INVALID_KEY_NAME));
      await assert.rejects(new Parse.Object('Fine').save({ o: { 'a$b': 1 } }), code(Parse.Error.INVALID_NESTED_KEY));
    });
  });
}
