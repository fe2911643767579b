// Every constraint, order and page of a query that is served, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`queries on ${database.name}`, () => {
    let server;
    let cities;
    let people;

    const query = (className = 'Person') => new Parse.Query(className);
    // names runs a query and gives the names found, in order of name unless the query has an order.
    const names = async (q) => {
      if (!q.toJSON().order) q.ascending('name');
      return (await q.find()).map((o) => o.get('name')).join(' ');
    };

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      cities = Object.fromEntries(['berlin', 'paris', 'rome'].map((name, n) => [name, new Parse.Object('City', { name, size: 3 - n, mayor: null })]));
      const country = await new Parse.Object('Country').save({ name: 'germany', code: 'de' });
      cities.berlin.set('country', country);
      await Parse.Object.saveAll(Object.values(cities));
      const day = (n) => new Date(Date.UTC(2024, 0, n));
      const rows = [
        ['ada', 36, true, ['math', 'code'], 'berlin', { lang: 'en', level: { n: 1 } }, 'ada@example.com'],
        ['bob', 20, false, ['code'], 'berlin', { lang: 'de', level: { n: 2 } }, 'Bob.B@Example.com'],
        ['cem', 20, true, [], 'paris', { lang: 'tr', level: { n: 3 } }, 'c+em@test.org'],
        ['dan', 55, false, ['math', 'art', 'code'], 'rome', { lang: 'en', level: { n: 4 } }, '100%_real\\E@test.org'],
        ['eva', undefined, undefined, undefined, undefined, undefined, undefined],
      ];
      people = Object.fromEntries(rows.map(([name, age, member, skills, city, info, mail], n) => [name, new Parse.Object('Person', Object.fromEntries(
        Object.entries({ name, age, member, skills, city: cities[city], info, mail, born: age && day(n + 1) }).filter(([, v]) => v !== undefined)))]));
      await Parse.Object.saveAll(Object.values(people));
      const { ada, bob, cem } = people;
      ada.relation('friends').add([bob, cem]);
      bob.relation('friends').add(ada);
      ada.set('friendList', [bob, cem]);
      await Parse.Object.saveAll([ada, bob]);
    });
    after(() => server.stop());

    const day = (n) => new Date(Date.UTC(2024, 0, n));
    const constraints = {
      'equalTo a string': [(q) => q.equalTo('name', 'ada'), 'ada'],
      'equalTo a number': [(q) => q.equalTo('age', 20), 'bob cem'],
      'equalTo a boolean': [(q) => q.equalTo('member', false), 'bob dan'],
      'equalTo a date': [(q) => q.equalTo('born', day(2)), 'bob'],
      'equalTo a pointer': [(q) => q.equalTo('city', cities.berlin), 'ada bob'],
      'equalTo an object id': [(q) => q.equalTo('objectId', people.cem.id), 'cem'],
      'equalTo an element': [(q) => q.equalTo('skills', 'code'), 'ada bob dan'],
      'equalTo a pointer in a list': [(q) => q.equalTo('friendList', people.cem), 'ada'],
      'equalTo within an object': [(q) => q.equalTo('info.lang', 'en'), 'ada dan'],
      'equalTo deep within an object': [(q) => q.equalTo('info.level.n', 3), 'cem'],
      'equalTo null': [(q) => q.equalTo('age', null), 'eva'],
      'equalTo undefined': [(q) => q.equalTo('age', undefined), 'eva'],
      'equalTo, by attributes': [(q) => q.equalTo({ age: 20, member: true }), 'cem'],
      'notEqualTo': [(q) => q.notEqualTo('age', 20), 'ada dan eva'],
      'notEqualTo a pointer': [(q) => q.notEqualTo('city', cities.berlin), 'cem dan eva'],
      'notEqualTo an element': [(q) => q.notEqualTo('skills', 'code'), 'cem eva'],
      'notEqualTo null': [(q) => q.notEqualTo('age', null), 'ada bob cem dan'],
      'lessThan': [(q) => q.lessThan('age', 36), 'bob cem'],
      'lessThanOrEqualTo': [(q) => q.lessThanOrEqualTo('age', 36), 'ada bob cem'],
      'greaterThan': [(q) => q.greaterThan('age', 20), 'ada dan'],
      'greaterThanOrEqualTo': [(q) => q.greaterThanOrEqualTo('age', 36), 'ada dan'],
      'a range': [(q) => q.greaterThan('age', 20).lessThan('age', 55), 'ada'],
      'greaterThan a string': [(q) => q.greaterThan('name', 'cem'), 'dan eva'],
      'lessThan a date': [(q) => q.lessThan('born', day(2)), 'ada'],
      'greaterThan within an object': [(q) => q.greaterThan('info.level.n', 2), 'cem dan'],
      'createdAt': [(q) => q.greaterThanOrEqualTo('createdAt', new Date(Math.min(...Object.values(people).map((o) => o.createdAt)))).lessThan('createdAt', new Date(Date.now() + 60_000)), 'ada bob cem dan eva'],
      'createdAt, too early': [(q) => q.lessThan('createdAt', day(1)), ''],
      'containedIn': [(q) => q.containedIn('name', ['ada', 'eva', 'nobody']), 'ada eva'],
      'containedIn nothing': [(q) => q.containedIn('name', []), ''],
      'containedIn, of elements': [(q) => q.containedIn('skills', ['art', 'math']), 'ada dan'],
      'containedIn, of pointers': [(q) => q.containedIn('city', [cities.paris, cities.rome]), 'cem dan'],
      'notContainedIn': [(q) => q.notContainedIn('name', ['ada', 'bob']), 'cem dan eva'],
      'notContainedIn nothing': [(q) => q.notContainedIn('name', []), 'ada bob cem dan eva'],
      'exists': [(q) => q.exists('age'), 'ada bob cem dan'],
      'doesNotExist': [(q) => q.doesNotExist('age'), 'eva'],
      'exists within an object': [(q) => q.exists('info.lang'), 'ada bob cem dan'],
      'startsWith': [(q) => q.startsWith('mail', 'c+'), 'cem'],
      'startsWith, with letters of any case': [(q) => q.startsWith('mail', 'bob.b', 'i'), 'bob'],
      'endsWith': [(q) => q.endsWith('mail', '@test.org'), 'cem dan'],
      'contains': [(q) => q.contains('mail', '%_real'), 'dan'],
      'contains what ends a quotation': [(q) => q.contains('mail', '\\E@'), 'dan'],
      'contains, as written': [(q) => q.contains('mail', 'example'), 'ada'],
      'matches': [(q) => q.matches('mail', /^[abc].*@(example|test)/), 'ada cem'],
      'matches, with letters of any case': [(q) => q.matches('mail', /EXAMPLE\.COM$/i), 'ada bob'],
      'matches, with modifiers': [(q) => q.matches('mail', '^bob', 'i'), 'bob'],
      'matches, with look-ahead': [(q) => q.matches('mail', /^(?=.*real)100/), 'dan'],
      'matches, with look-behind': [(q) => q.matches('mail', /(?<=@)test/), 'cem dan'],
      'matches, with a named group': [(q) => q.matches('mail', /(?<c>[a-z])\.\k<c>/i), 'bob'],
      'matches, at the beginning of lines': [(q) => q.matches('mail', /^bob/im), 'bob'],
      'matches, with blanks and comments': [(q) => q.matches('mail', ' ^ ada # the first', 'x'), 'ada'],
      'startsWith, of several': [() => Parse.Query.or(query().startsWith('mail', 'ada'), query().startsWith('mail', '100%_')), 'ada dan'],
      'containsAll': [(q) => q.containsAll('skills', ['math', 'code']), 'ada dan'],
      'containsAllStartingWith': [(q) => q.containsAllStartingWith('skills', ['ma', 'ar']), 'dan'],
      'containsAll of nothing': [(q) => q.containsAll('skills', []), ''],
      'containsAllStartingWith one': [(q) => q.containsAllStartingWith('skills', ['co']), 'ada bob dan'],
      'containedBy nothing': [(q) => q.containedBy('skills', []), 'cem'],
      'containedIn, and matchesQuery': [(q) => q.containedIn('city', [cities.rome]).matchesQuery('city', query('City').equalTo('name', 'paris')), 'cem dan'],
      'matchesKeyInQuery of lists': [(q) => q.matchesKeyInQuery('skills', 'skills', query().equalTo('name', 'bob')), 'ada bob dan'],
      'matchesKeyInQuery within an object': [(q) => q.matchesKeyInQuery('info.lang', 'info.lang', query().equalTo('name', 'dan')), 'ada dan'],
      'doesNotMatchKeyInQuery of a pointer': [(q) => q.doesNotMatchKeyInQuery('city', 'city', query().equalTo('name', 'bob')), 'cem dan eva'],
      'equalTo a list': [(q) => q.equalTo('skills', ['code']), 'bob'],
      'order within an object': [(q) => q.exists('info').descending('info.level.n'), 'dan cem bob ada'],
      'containedBy': [(q) => q.containedBy('skills', ['math', 'code']), 'ada bob cem'],
      'or': [() => Parse.Query.or(query().equalTo('name', 'ada'), query().greaterThan('age', 50)), 'ada dan'],
      'or, and more': [() => Parse.Query.or(query().equalTo('age', 20), query().equalTo('age', 36)).equalTo('member', true), 'ada cem'],
      'and': [() => Parse.Query.and(query().equalTo('skills', 'math'), query().equalTo('skills', 'art')), 'dan'],
      'nor': [() => Parse.Query.nor(query().equalTo('age', 20), query().doesNotExist('age')), 'ada dan'],
      'or within and': [() => Parse.Query.and(Parse.Query.or(query().equalTo('name', 'bob'), query().equalTo('name', 'dan')), query().lessThan('age', 50)), 'bob'],
      'matchesQuery': [(q) => q.matchesQuery('city', query('City').greaterThan('size', 1)), 'ada bob cem'],
      'matchesQuery, of a query of a query': [(q) => q.matchesQuery('city', query('City').matchesQuery('country', query('Country').equalTo('code', 'de'))), 'ada bob'],
      'matchesQuery that finds nothing': [(q) => q.matchesQuery('city', query('City').equalTo('size', 99)), ''],
      'doesNotMatchQuery': [(q) => q.doesNotMatchQuery('city', query('City').equalTo('name', 'berlin')), 'cem dan eva'],
      'matchesKeyInQuery': [(q) => q.matchesKeyInQuery('city', 'city', query().equalTo('name', 'bob')), 'ada bob'],
      'matchesKeyInQuery of a number': [(q) => q.matchesKeyInQuery('age', 'age', query().equalTo('name', 'bob')), 'bob cem'],
      'doesNotMatchKeyInQuery': [(q) => q.doesNotMatchKeyInQuery('name', 'name', query().exists('age')), 'eva'],
      'equalTo in a relation': [(q) => q.equalTo('friends', people.ada), 'bob'],
      'containedIn in a relation': [(q) => q.containedIn('friends', [people.ada, people.cem]), 'ada bob'],
      'matchesQuery in a relation': [(q) => q.matchesQuery('friends', query().equalTo('age', 36)), 'bob'],
      'doesNotMatchQuery in a relation': [(q) => q.doesNotMatchQuery('friends', query().equalTo('age', 36)), 'ada cem dan eva'],
      'the query of a relation': [() => people.ada.relation('friends').query(), 'bob cem'],
      'the query of a relation, and more': [() => people.ada.relation('friends').query().equalTo('member', true), 'cem'],
      'relatedTo and or': [() => Parse.Query.or(people.ada.relation('friends').query().equalTo('name', 'bob'), query().equalTo('name', 'eva')), 'bob eva'],
      'ascending': [(q) => q.ascending('name'), 'ada bob cem dan eva'],
      'descending': [(q) => q.descending('name'), 'eva dan cem bob ada'],
      'ascending by two': [(q) => q.ascending('age', 'name'), 'eva bob cem ada dan'],
      'descending, then ascending': [(q) => q.descending('age').addAscending('name'), 'dan ada bob cem eva'],
      'ascending, then descending': [(q) => q.ascending('age').addDescending('name'), 'eva cem bob ada dan'],
      'order by a date': [(q) => q.exists('born').descending('born'), 'dan cem bob ada'],
      'skip and limit': [(q) => q.ascending('name').skip(1).limit(2), 'bob cem'],
      'skip beyond the end': [(q) => q.skip(10), ''],
      'withJSON': [() => query().withJSON({ where: { age: { $gt: 20 } }, order: '-name', limit: 1 }), 'dan'],
      'fromJSON': [() => Parse.Query.fromJSON('Person', query().equalTo('name', 'eva').toJSON()), 'eva'],
    };
    for (const [what, [build, want]] of Object.entries(constraints)) {
      test(what, async () => {
        const q = build(query());
        const limited = q.toJSON().limit !== undefined || q.toJSON().skip !== undefined;
        assert.equal(await names(q), want);
        if (!limited) assert.equal(await q.count(), want === '' ? 0 : want.split(' ').length, 'count');
      });
    }

    test('get, first and exists', async () => {
      const got = await query().get(people.ada.id);
      assert.equal(got.get('name'), 'ada');
      await assert.rejects(query().get('nosuchobjt'), code(Parse.Error.OBJECT_NOT_FOUND));
      assert.equal((await query().descending('age').first()).get('name'), 'dan');
      assert.equal(await query().equalTo('name', 'nobody').first(), undefined);
      await assert.rejects(query().equalTo('age', 1).get(people.ada.id), code(Parse.Error.OBJECT_NOT_FOUND));
    });

    test('include, of one and of more steps, and of lists', async () => {
      const bare = await query().get(people.ada.id);
      assert.equal(bare.get('city').get('name'), undefined);
      const ada = await query().include('city.country').include('friendList').get(people.ada.id);
      assert.equal(ada.get('city').get('name'), 'berlin');
      assert.equal(ada.get('city').get('country').get('code'), 'de');
      assert.deepEqual(ada.get('friendList').map((f) => f.get('name')), ['bob', 'cem']);
      assert.equal(ada.get('friendList')[0].get('city').get('name'), undefined);
      const lists = await query().include(['friendList.city', 'city']).get(people.ada.id);
      assert.deepEqual(lists.get('friendList').map((f) => f.get('city').get('name')), ['berlin', 'paris']);
      const all = await query().includeAll().get(people.ada.id);
      assert.equal(all.get('city').get('name'), 'berlin');
      assert.equal(all.get('friendList')[1].get('name'), 'cem');
      assert.equal(all.get('city').get('country').get('code'), undefined);
      assert.equal(await names(query().include('nothing')), 'ada bob cem dan eva');
    });

    test('an included object that is gone stays a pointer', async () => {
      const target = await new Parse.Object('Passing').save({ a: 1 });
      const holder = await new Parse.Object('Holder').save({ target, list: [target, cities.rome] });
      await target.destroy();
      const got = await query('Holder').include('target', 'list').get(holder.id);
      assert.equal(got.get('target')?.get('a'), undefined);
      assert.equal(got.get('list').filter((o) => o?.get?.('name') === 'rome').length, 1);
    });

    test('select and exclude', async () => {
      // Relations are there whatever is asked for.
      const some = await query().select('name', 'info.lang').get(people.ada.id);
      assert.deepEqual(Object.keys(some.attributes).sort(), ['createdAt', 'friends', 'info', 'name', 'updatedAt']);
      assert.equal(some.get('info').lang, 'en');
      const list = await query().select('age').ascending('name').find();
      assert.deepEqual(list.map((o) => o.has('name')), [false, false, false, false, false]);
      assert.deepEqual(list.map((o) => o.get('age')), [36, 20, 20, 55, undefined]);
      const rest = await query().exclude('name', 'age').get(people.ada.id);
      assert.equal(rest.has('name') || rest.has('age'), false);
      assert.equal(rest.get('mail'), 'ada@example.com');
      const included = await query().select('city.name').include('city').get(people.ada.id);
      assert.equal(included.get('city').get('name'), 'berlin');
      assert.equal(included.get('city').has('size'), false);
    });

    test('withCount, and a limit of nothing', async () => {
      const page = await query().ascending('name').limit(2).skip(2).withCount().find();
      assert.deepEqual(page.results.map((o) => o.get('name')), ['cem', 'dan']);
      assert.equal(page.count, 5);
      const none = await query().limit(0).withCount().find();
      assert.deepEqual(none.results, []);
      assert.equal(none.count, 5);
      assert.deepEqual(await query('NoSuchClass').find(), []);
      assert.equal(await query('NoSuchClass').count(), 0);
    });

    test('each, eachBatch, findAll, map, reduce and filter see every object once', async () => {
      const all = Array.from({ length: 130 }, (_, n) => new Parse.Object('Many', { n }));
      await Parse.Object.saveAll(all, { batchSize: 65 });
      const want = all.map((_, n) => n);
      const sorted = (list) => list.sort((a, b) => a - b);
      const numbers = (list) => sorted(list.map((o) => o.get('n')));

      assert.equal((await query('Many').find()).length, 100, 'the default limit');
      assert.deepEqual(numbers(await query('Many').limit(1000).find()), want);
      assert.deepEqual(numbers(await query('Many').findAll()), want);
      assert.deepEqual(numbers(await query('Many').greaterThan('n', 99).findAll({ batchSize: 7 })), want.slice(100));
      const seen = [];
      await query('Many').each((o) => { seen.push(o.get('n')); });
      assert.deepEqual(sorted(seen), want);
      const sizes = [];
      await query('Many').eachBatch((list) => { sizes.push(list.length); }, { batchSize: 50 });
      assert.deepEqual(sizes, [50, 50, 30]);
      assert.deepEqual(sorted(await query('Many').map((o) => o.get('n'))), want);
      assert.equal(await query('Many').reduce((sum, o) => sum + o.get('n'), 0), 130 * 129 / 2);
      assert.deepEqual(numbers(await query('Many').filter((o) => o.get('n') < 3)), [0, 1, 2]);
    });

    test('cancel', async () => {
      const q = query();
      const found = q.find();
      q.cancel();
      assert.deepEqual(await found, [], 'the SDK gives nothing for what was cancelled');
      assert.equal(await names(query().equalTo('name', 'ada')), 'ada');
    });

    test('the type of what is compared', async () => {
      assert.deepEqual(await query().equalTo('age', '20').find().catch((e) => e.code), []);
      assert.equal(await names(query().containedIn('age', [20, 'x', null])), 'bob cem eva');
    });
  });
}
