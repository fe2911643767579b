// The differences of what the two servers store that are meant. Each has its
// line in docs/compatibility.md, under "Stored differently".

const each = (f) => function walk(v) {
  if (v === null || typeof v !== 'object') return v;
  const w = f(v);
  if (w !== v) return w;
  return Array.isArray(v) ? v.map(walk) : Object.fromEntries(Object.entries(v).map(([k, el]) => [k, walk(el)]));
};

// Rows on MongoDB: table is the collection, doc its document in Extended JSON.
export const mongodb = [
  {
    name: 'Bytes inside arrays and objects',
    change: (table, doc) => each((v) => (v.sub_type && v.position && v.buffer ? {
      $binary: { base64: Buffer.from(Object.values(v.buffer).map((b) => Number(b.$numberInt))).toString('base64'), subType: '00' },
    } : v))(doc),
  },
  {
    name: 'Dates written by a dotted path, and those of the config',
    change: (table, doc) => (table === '_SCHEMA' ? doc : each((v) => (v.__type === 'Date' ? { $date: { $numberLong: `${Date.parse(v.iso)}` } } : v))(doc)),
  },
  {
    name: '`createdWith` of a session',
    change: (table, { createdWith, ...doc }) => (table === '_Session' && createdWith?.authProvider !== 'password' ? doc : {
      ...doc, ...(createdWith && (table !== '_Session' || createdWith.action === 'signup') ? { createdWith } : {}),
    }),
  },
  {
    name: 'a null that a Pointer has taken the place of',
    change: (table, doc) => Object.fromEntries(Object.entries(doc).filter(([k, v]) => v !== null || typeof doc[`_p_${k}`] !== 'string')),
  },
  { name: 'ids of hooks', change: (table, doc) => (table === '_Hooks' ? { ...doc, _id: '<id>' } : doc) },
  { name: 'names of anonymous users', change: (table, doc) => (table === '_User' && doc._auth_data_anonymous ? { ...doc, username: '<any>' } : doc) },
  {
    name: 'definitions of classes',
    change(table, doc) {
      if (table !== '_SCHEMA') return doc;
      const { pargo, indexes, fields_options: fields, class_permissions: clp, ...meta } = doc._metadata ?? {};
      const some = (o) => (Object.keys(o).length > 0 ? o : undefined);
      const all = clp && Object.fromEntries(['find', 'count', 'get', 'create', 'update', 'delete', 'addField', 'protectedFields'].map((k) => [k, {}]));
      const metadata = JSON.parse(JSON.stringify({
        ...meta,
        class_permissions: clp && Object.fromEntries(Object.entries({ ...all, ...clp }).sort(([a], [b]) => (a < b ? -1 : 1))),
        fields_options: some(Object.fromEntries(Object.entries(fields ?? {}).map(([k, { required, ...o }]) => [k, required ? { required, ...o } : o]).filter(([, o]) => some(o)))),
        indexes: some(Object.fromEntries(Object.entries(indexes ?? {}).filter(([name]) => !ownIndex.test(name)))),
      }));
      const { _metadata, ...rest } = doc;
      return some(metadata) ? { ...rest, _metadata: metadata } : rest;
    },
  },
];

// Indexes that only one of the servers makes by itself.
export const ownIndex = /^(_id_|(user|sessionToken|installationId|deviceToken|relatedId|owningId_1_relatedId)_1|_auth_data_.*_id|.*_2dsphere)$/;

// names are those of all of them.
export const names = [...mongodb.map((k) => k.name), 'indexes that nobody asked for'];
