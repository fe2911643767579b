// What a find takes besides constraints: plans, hints, projections, includes, pages.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, master, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`options of a find on ${database.name}`, () => {
    let server;
    let post;

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      const schema = new Parse.Schema('Post');
      schema.addString('title').addNumber('n').addPointer('author', 'Author').addArray('tags').addObject('meta').addRelation('fans', 'Author');
      schema.addIndex('by_n', { n: 1, createdAt: -1 });
      await schema.save();
      const boss = await new Parse.Object('Author').save({ name: 'boss', age: 60 });
      const author = await new Parse.Object('Author').save({ name: 'ada', age: 30, boss });
      const gone = await new Parse.Object('Author').save({ name: 'gone' });
      const posts = Array.from({ length: 25 }, (_, n) => new Parse.Object('Post', {
        title: `t${n % 4}`, n, author, tags: [author, gone, 'x'], meta: { by: author, note: 'm' },
      }));
      await Parse.Object.saveAll(posts);
      await gone.destroy();
      post = posts[7];
    });
    after(() => server.stop());

    const posts = () => new Parse.Query('Post').equalTo('objectId', post.id);

    test('explain is for the master key', async () => {
      await assert.rejects(new Parse.Query('Post').explain().find(), code(102, /master key/));
      const plan = await new Parse.Query('Post').equalTo('n', 1).explain().find(master);
      assert.ok(plan.queryPlanner, JSON.stringify(plan));
    });

    test('hint and comment', async () => {
      const found = await new Parse.Query('Post').equalTo('n', 3).hint('by_n').comment('from a test').find();
      assert.equal(found.length, 1);
      if (database.name === 'sqlite') {
        await assert.rejects(new Parse.Query('Post').hint('nope').find(), code(102, /no index nope/));
      }
    });

    test('read preference', async () => {
      const found = await new Parse.Query('Post').readPreference('NEAREST', 'PRIMARY', 'SECONDARY_PREFERRED').include('author').equalTo('n', 3).first();
      assert.equal(found.get('author').get('name'), 'ada');
      await assert.rejects(new Parse.Query('Post').readPreference('SOMEWHERE').find(), code(102, /Not supported read preference/));
    });

    test('select and exclude', async () => {
      const some = await posts().select('title', 'author.name').first();
      assert.deepEqual(Object.keys(some.toJSON()).sort(), ['author', 'createdAt', 'fans', 'objectId', 'title', 'updatedAt']);
      assert.equal(some.get('author').get('name'), 'ada');
      assert.equal(some.get('author').get('age'), undefined);
      const rest = await posts().exclude('title', 'author.age', 'tags').first();
      assert.equal(rest.get('title'), undefined);
      assert.equal(rest.get('tags'), undefined);
      assert.equal(rest.get('author').get('name'), 'ada');
      assert.equal(rest.get('author').get('age'), undefined);
    });

    test('include', async () => {
      const deep = await posts().include('author.boss', 'tags', 'meta.by').first();
      assert.equal(deep.get('author').get('boss').get('age'), 60);
      assert.equal(deep.get('meta').by.get('name'), 'ada');
      assert.deepEqual(deep.get('tags').map((t) => t.get?.('name') ?? t), ['ada', 'x']);
      const all = await posts().includeAll().first();
      assert.equal(all.get('author').get('name'), 'ada');
      assert.equal(all.get('author').get('boss').get('age'), undefined);
      const got = await new Parse.Query('Post').include('author').get(post.id);
      assert.equal(got.get('author').get('name'), 'ada');
    });

    test('pages by cursor', async () => {
      const rest = Parse.CoreManager.getRESTController();
      const whole = await new Parse.Query('Post').descending('title').addAscending('n').limit(100).find();
      const walked = [];
      let pages = 0;
      for (let cursor = true; cursor; pages += 1) {
        const page = await rest.request('GET', 'classes/Post', { order: '-title,n', limit: 6, cursor });
        walked.push(...page.results.map((o) => o.objectId));
        cursor = page.cursor;
      }
      assert.equal(pages, 5);
      assert.deepEqual(walked, whole.map((o) => o.id));
      await assert.rejects(rest.request('GET', 'classes/Post', { cursor: 'c123' }), code(102, /cursor/));
    });
  });
}
