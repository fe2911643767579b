// Every constraint on places, by the unmodified JS SDK.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { code, databases, freely, openSchema, start } from './harness.js';

for (const database of databases()) {
  describe(`places on ${database.name}`, () => {
    let server;

    const query = () => new Parse.Query('Place');
    const at = (latitude, longitude) => new Parse.GeoPoint(latitude, longitude);
    const names = async (q) => (await q.find()).map((o) => o.get('name')).join(' ');
    const potsdam = at(52.4, 13.06);

    before(async () => {
      server = await start(database, freely, { schema: openSchema });
      server.use();
      const around = (lat, lng) => new Parse.Polygon([[lat - 1, lng - 1], [lat - 1, lng + 1], [lat + 1, lng + 1], [lat + 1, lng - 1]]);
      const places = [
        ['tonga', at(-21.1, -175.2)],
        ['paris', at(48.8566, 2.3522), around(48.8566, 2.3522)],
        ['berlin', at(52.52, 13.405), around(52.52, 13.405)],
        ['fiji', at(-17.7, 178)],
        ['nowhere'],
      ];
      for (const [name, where, area] of places) {
        await new Parse.Object('Place').save(Object.fromEntries(Object.entries({ name, where, area }).filter(([, v]) => v !== undefined)));
      }
    });
    after(() => server.stop());

    const constraints = {
      'near': [(q) => q.near('where', potsdam), 'berlin paris fiji tonga'],
      'near, with an order': [(q) => q.near('where', potsdam).descending('name'), 'tonga paris fiji berlin'],
      'near, a page': [(q) => q.near('where', potsdam).skip(1).limit(2), 'paris fiji'],
      'near and more': [(q) => q.near('where', potsdam).notEqualTo('name', 'berlin'), 'paris fiji tonga'],
      'near, of some fields': [(q) => q.near('where', potsdam).select('name'), 'berlin paris fiji tonga'],
      'withinRadians': [(q) => q.withinRadians('where', potsdam, 0.15), 'berlin paris'],
      'withinKilometers': [(q) => q.withinKilometers('where', potsdam, 30), 'berlin'],
      'withinKilometers, farther': [(q) => q.withinKilometers('where', potsdam, 1000), 'berlin paris'],
      'withinMiles': [(q) => q.withinMiles('where', at(48, 2), 600), 'paris berlin'],
      'withinKilometers over the 180th meridian': [(q) => q.withinKilometers('where', at(-18, 179), 900), 'fiji tonga'],
      'withinKilometers, not sorted': [(q) => q.withinKilometers('where', potsdam, 1000, false).ascending('name'), 'berlin paris'],
      'withinGeoBox': [(q) => q.withinGeoBox('where', at(48, 2), at(53, 14)).ascending('name'), 'berlin paris'],
      'withinGeoBox, smaller': [(q) => q.withinGeoBox('where', at(50, 2), at(53, 14)), 'berlin'],
      'withinPolygon': [(q) => q.withinPolygon('where', [at(40, 0), at(60, 0), at(50, 10)]), 'paris'],
      'withinPolygon, of pairs': [(q) => q.withinPolygon('where', [[0, 40], [0, 60], [20, 50]]).ascending('name'), 'berlin paris'],
      'withinPolygon, of a polygon': [(q) => q.withinPolygon('where', new Parse.Polygon([[0, 40], [0, 60], [20, 50]])).ascending('name'), 'berlin paris'],
      'within a circle': [(q) => q.withJSON({ where: { where: { $geoWithin: { $centerSphere: [potsdam.toJSON(), 0.15] } } }, order: 'name' }), 'berlin paris'],
      'equalTo a place': [(q) => q.equalTo('where', at(-17.7, 178)), 'fiji'],
      'containedIn places': [(q) => q.containedIn('where', [at(-17.7, 178), at(0, 0)]), 'fiji'],
      'equalTo an area': [(q) => q.equalTo('area', new Parse.Polygon([[51.52, 12.405], [51.52, 14.405], [53.52, 14.405], [53.52, 12.405]])), 'berlin'],
      'near, and a search': [(q) => q.near('where', potsdam).matches('name', /^(?!b)/), 'paris fiji tonga'],
      'polygonContains': [(q) => q.polygonContains('area', potsdam), 'berlin'],
      'polygonContains, nowhere': [(q) => q.polygonContains('area', at(0, 0)), ''],
      'and': [() => Parse.Query.and(query().near('where', potsdam), query().notEqualTo('name', 'fiji')), 'berlin paris tonga'],
      'or of areas': [() => Parse.Query.or(query().withinKilometers('where', potsdam, 30, false), query().equalTo('name', 'nowhere')).ascending('name'), 'berlin nowhere'],
      'a relative time': [(q) => q.withJSON({ where: { createdAt: { $gt: { $relativeTime: '1 hour ago' }, $lt: { $relativeTime: 'in 1 min' } }, name: 'fiji' } }), 'fiji'],
      'a relative time long ago': [(q) => q.withJSON({ where: { createdAt: { $lt: { $relativeTime: '2 days 1 hr ago' } } } }), ''],
    };
    for (const [what, [build, want]] of Object.entries(constraints)) {
      test(what, async () => {
        const q = build(query());
        const limited = q.toJSON().limit !== undefined || q.toJSON().skip !== undefined;
        assert.equal(await names(q), want);
        if (!limited) assert.equal(await q.count(), want === '' ? 0 : want.split(' ').length, 'count');
      });
    }

    test('constraints that are wrong', async () => {
      const wrong = (where) => query().withJSON({ where }).find();
      await assert.rejects(query().withinPolygon('where', [at(1, 1), at(2, 2)]).find(), code(Parse.Error.INVALID_JSON));
      await assert.rejects(wrong({ where: { $within: { $box: [1] } } }), code(Parse.Error.INVALID_JSON));
      await assert.rejects(wrong({ area: { $geoIntersects: { $point: 1 } } }), code(Parse.Error.INVALID_JSON));
      await assert.rejects(wrong({ createdAt: { $lt: { $relativeTime: 'soon' } } }), code(Parse.Error.INVALID_JSON));
      await assert.rejects(Parse.Query.or(query().near('where', potsdam), query().exists('name')).find(), code(Parse.Error.INVALID_QUERY));
    });
  });
}
