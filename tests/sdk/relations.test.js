// Relations in every combination with other constraints, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`relations on ${database.name}`, () => {
    let server;
    let books;
    let shelves;

    const query = (className = 'Book') => new Parse.Query(className);
    const names = async (q) => {
      if (!q.toJSON().order) q.ascending('name');
      return (await q.find()).map((o) => o.get('name')).join(' ');
    };
    const members = (name) => shelves[name].relation('books').query();

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      const make = (className, list) => Object.fromEntries(list.map(([name, more]) => [name, new Parse.Object(className, { name, ...more })]));
      books = make('Book', [['atlas', { pages: 300, tags: ['maps'] }], ['bible', { pages: 1200 }], ['comic', { pages: 60, tags: ['fun', 'maps'] }], ['diary', { pages: 90 }]]);
      await Parse.Object.saveAll(Object.values(books));
      shelves = make('Shelf', [['left'], ['right'], ['empty']]);
      await Parse.Object.saveAll(Object.values(shelves));
      shelves.left.relation('books').add([books.atlas, books.bible]);
      shelves.right.relation('books').add([books.bible, books.comic]);
      books.atlas.set('shelf', shelves.left);
      await Parse.Object.saveAll([shelves.left, shelves.right, books.atlas]);
    });
    after(() => server.stop());

    const constraints = {
      'the members': [() => members('left'), 'atlas bible'],
      'no members': [() => members('empty'), ''],
      'members and more': [() => members('left').greaterThan('pages', 500), 'bible'],
      'members by pattern': [() => members('right').matches('name', /^(?=c)/), 'comic'],
      'members by element': [() => members('right').equalTo('tags', 'maps'), 'comic'],
      'members in an order': [() => members('left').descending('pages'), 'bible atlas'],
      'members, a page': [() => members('right').ascending('name').skip(1).limit(1), 'comic'],
      'members that match a query': [() => members('left').matchesQuery('shelf', query('Shelf').equalTo('name', 'left')), 'atlas'],
      'members of one of two': [() => Parse.Query.or(members('left'), members('right')), 'atlas bible comic'],
      'members of both': [() => Parse.Query.and(members('left'), members('right')), 'bible'],
      'members of neither': [() => Parse.Query.nor(members('left'), members('right')), 'diary'],
      'owners': [() => query('Shelf').equalTo('books', books.bible), 'left right'],
      'owners of any': [() => query('Shelf').containedIn('books', [books.atlas, books.diary]), 'left'],
      'those that do not own': [() => query('Shelf').notEqualTo('books', books.atlas), 'empty right'],
      'those that own none of them': [() => query('Shelf').notContainedIn('books', [books.atlas, books.comic]), 'empty'],
      'owners of what a query finds': [() => query('Shelf').matchesQuery('books', query().lessThan('pages', 100)), 'right'],
      'those that own nothing of what a query finds': [() => query('Shelf').doesNotMatchQuery('books', query().lessThan('pages', 400)), 'empty'],
      'owners, and more': [() => query('Shelf').equalTo('books', books.bible).startsWith('name', 'r'), 'right'],
    };
    for (const [what, [build, want]] of Object.entries(constraints)) {
      test(what, async () => {
        const q = build();
        const limited = q.toJSON().limit !== undefined || q.toJSON().skip !== undefined;
        assert.equal(await names(q), want);
        if (!limited) assert.equal(await q.count(), want === '' ? 0 : want.split(' ').length, 'count');
      });
    }

    test('added twice, removed, and both at once', async () => {
      const shelf = await new Parse.Object('Shelf').save({ name: 'tmp' });
      const relation = shelf.relation('books');
      relation.add(books.atlas);
      await shelf.save();
      relation.add([books.atlas, books.comic]);
      await shelf.save();
      assert.equal(await names(relation.query()), 'atlas comic');
      relation.remove(books.atlas);
      relation.add(books.diary);
      await shelf.save();
      assert.equal(await names(relation.query()), 'comic diary');
      assert.equal(relation.targetClassName, 'Book');
      await assert.rejects((async () => {
        shelf.relation('books').add(shelves.left);
        await shelf.save();
      })());
      await shelf.destroy();
    });

    test('a relation of an object that is not to be seen is empty', async () => {
      const acl = new Parse.ACL();
      const hidden = new Parse.Object('Shelf', { name: 'hidden' });
      hidden.setACL(acl);
      hidden.relation('books').add(books.atlas);
      await hidden.save(null, { useMasterKey: true });
      assert.equal(await names(hidden.relation('books').query()), '');
      const all = await hidden.relation('books').query().find({ useMasterKey: true });
      assert.deepEqual(all.map((o) => o.get('name')), ['atlas']);
      await hidden.destroy({ useMasterKey: true });
    });

    test('wrong questions', async () => {
      const wrong = (where) => query().withJSON({ where }).find();
      await assert.rejects(wrong({ $relatedTo: { key: 'books' } }), code(Parse.Error.INVALID_QUERY));
      assert.deepEqual(await wrong({ $relatedTo: { object: shelves.left.toPointer(), key: 'name' } }), []);
      assert.deepEqual(await query('Shelf').exists('books').find(), []);
    });
  });
}
