// Full text search by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`full text on ${database.name}`, () => {
    let server;

    const query = () => new Parse.Query('Dish');
    const names = async (q) => {
      if (!q.toJSON().order) q.ascending('n');
      return (await q.find()).map((o) => o.get('n')).join(' ');
    };

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      const texts = ['Coffee shop', 'Coffee, more coffee and coffees', 'A cup of green tea', 'Café au lait', 'nothing'];
      await Parse.Object.saveAll(texts.map((subject, n) => new Parse.Object('Dish', { n, subject, kind: n % 2 ? 'odd' : 'even' })));
    });
    after(() => server.stop());

    const searches = {
      'a word': [(q) => q.fullText('subject', 'coffee'), '0 1'],
      'a word in another form': [(q) => q.fullText('subject', 'cups'), '2'],
      'words': [(q) => q.fullText('subject', 'tea shops'), '0 2'],
      'a phrase': [(q) => q.fullText('subject', '"green tea"'), '2'],
      'a phrase that is not there': [(q) => q.fullText('subject', '"tea green"'), ''],
      'a negation': [(q) => q.fullText('subject', 'coffee -shop'), '1'],
      'words that do not count': [(q) => q.fullText('subject', 'a and of'), ''],
      'without accents': [(q) => q.fullText('subject', 'cafe', { language: 'none' }), database.name === 'sqlite' ? '3' : undefined],
      'with a language': [(q) => q.fullText('subject', 'coffee', { language: 'en', caseSensitive: false, diacriticSensitive: false }), '0 1'],
      'with case': [(q) => q.fullText('subject', 'Coffee', { caseSensitive: true }), '0 1'],
      'with case, otherwise': [(q) => q.fullText('subject', 'COFFEE', { caseSensitive: true }), ''],
      'and more': [(q) => q.fullText('subject', 'coffee').equalTo('kind', 'odd'), '1'],
      'in one of two': [() => Parse.Query.or(query().fullText('subject', 'tea'), query().equalTo('n', 4)), '2 4'],
      'in both': [() => Parse.Query.and(query().fullText('subject', 'coffee'), query().greaterThan('n', 0)), '1'],
    };
    for (const [what, [build, want]] of Object.entries(searches)) {
      test(what, { skip: want === undefined && 'accents are the database\'s' }, async () => {
        const q = build(query());
        assert.equal(await names(q), want);
        assert.equal(await q.count(), want === '' ? 0 : want.split(' ').length, 'count');
      });
    }

    test('the best first, with scores', async () => {
      const found = await query().fullText('subject', 'coffee').sortByTextScore().select('n', 'subject').find();
      assert.deepEqual(found.map((o) => o.get('n')), [1, 0]);
      assert.ok(found[0].get('score') > found[1].get('score') && found[1].get('score') > 0);
      assert.equal(found[0].get('subject'), 'Coffee, more coffee and coffees');
      const bare = await query().fullText('subject', 'tea').sortByTextScore().first();
      assert.deepEqual(Object.keys(bare.attributes).sort(), ['createdAt', 'score', 'updatedAt'], 'the SDK asks for the score alone');
      const some = await query().fullText('subject', 'coffee').sortByTextScore().select('n').limit(1).find();
      assert.deepEqual(some.map((o) => [o.get('n'), o.get('score') > 0, o.has('subject')]), [[1, true, false]]);
    });

    test('what is written is found, and what is gone is not', async () => {
      const dish = await new Parse.Object('Dish').save({ n: 9, subject: 'Pumpkin soup' });
      assert.equal(await names(query().fullText('subject', 'pumpkins')), '9');
      await dish.save({ subject: 'Carrot soup' });
      assert.equal(await names(query().fullText('subject', 'pumpkins')), '');
      assert.equal(await names(query().fullText('subject', 'carrots')), '9');
      await dish.destroy();
      assert.equal(await names(query().fullText('subject', 'carrots')), '');
    });

    test('searches that are wrong', async () => {
      const wrong = (search) => query().withJSON({ where: { subject: { $text: { $search: search } } } }).find();
      assert.throws(() => query().fullText('subject', ''));
      await assert.rejects(wrong('coffee'), code(Parse.Error.INVALID_JSON, /should be object/));
      await assert.rejects(wrong({ $term: 1 }), code(Parse.Error.INVALID_JSON, /\$term, should be string/));
      await assert.rejects(wrong({ $term: 'a', $language: 'tlhIngan' }), code(Parse.Error.INVALID_JSON, /not supported/));
    });
  });
}
