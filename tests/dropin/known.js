// The differences of what the two servers store that are meant. Each has its
// line in docs/compatibility.md, under "Stored differently".

const each = (f) => function walk(v) {
  if (v === null || typeof v !== 'object') return v;
  const w = f(v);
  if (w !== v) return w;
  return Array.isArray(v) ? v.map(walk) : Object.fromEntries(Object.entries(v).map(([k, el]) => [k, walk(el)]));
};

const some = (o) => (Object.keys(o).length > 0 ? o : undefined);
const inOrder = (o) => Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)));

// Of a definition: permissions with those that are missing, options without
// what says nothing, indexes that were asked for.
const operations = ['find', 'count', 'get', 'create', 'update', 'delete', 'addField', 'protectedFields'];
const permissions = (clp) => clp && inOrder({ ...Object.fromEntries(operations.map((k) => [k, {}])), ...clp });
const options = ({ required, ...o }) => (required ? { required, ...o } : o);
const asked = (indexes) => some(inOrder(Object.fromEntries(Object.entries(indexes ?? {}).filter(([name]) => !ownIndex.test(name)))));

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
      const metadata = JSON.parse(JSON.stringify({
        ...meta,
        class_permissions: permissions(clp),
        fields_options: some(Object.fromEntries(Object.entries(fields ?? {}).map(([k, o]) => [k, options(o)]).filter(([, o]) => some(o)))),
        indexes: asked(indexes),
      }));
      const { _metadata, ...rest } = doc;
      return some(metadata) ? { ...rest, _metadata: metadata } : rest;
    },
  },
];

// Rows on PostgreSQL: table and row, whose columns are texts.
export const postgresql = [
  {
    name: 'order of elements after an operation on an Array',
    change: (table, row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, v.startsWith('[') ? JSON.stringify(JSON.parse(v).map((el) => JSON.stringify(el)).sort()) : v])),
  },
  {
    name: '`createdWith` of a session',
    change(table, { createdWith, ...row }) {
      if (table !== '_Session' || !createdWith) return { ...row, ...(createdWith && { createdWith }) };
      const { action, authProvider } = JSON.parse(createdWith);
      return authProvider === 'password' && action === 'signup' ? { ...row, createdWith } : row;
    },
  },
  { name: 'names of anonymous users', change: (table, row) => (table === '_User' && /anonymous/.test(row.authData) ? { ...row, username: '<any>' } : row) },
  {
    name: 'definitions of classes',
    change(table, row) {
      if (table !== '_SCHEMA') return row;
      const { classLevelPermissions, fields, indexes, ...rest } = JSON.parse(row.schema);
      return {
        ...row,
        schema: {
          ...rest, classLevelPermissions: permissions(classLevelPermissions), indexes: asked(indexes),
          fields: inOrder(Object.fromEntries(Object.entries(fields).filter(([k]) => !/^(ACL|_[rw]perm)$/.test(k)).map(([k, o]) => [k, options(o)]))),
        },
      };
    },
  },
];

// Tables that Parse Server does not know.
export const ownTable = /^_(pargo|PargoLease)$/;

// Indexes that only one of the servers makes by itself.
export const ownIndex = new RegExp(`^(${[
  '_id_', '(user|sessionToken|installationId|deviceToken|relatedId|owningId_1_relatedId)_1', '_auth_data_.*_id', '.*_2dsphere', // MongoDB
  '_Installation_(installationId|deviceToken)_1', '_Session_(user_1|unique_sessionToken)', '_owning:.*', '_order:.*', '_User_unique_authData_.*', // PostgreSQL
].join('|')})$`);

// withoutOrder is the definition of an index on PostgreSQL without how it orders
// values: pargo's serve queries that regard bytes and put missing values first.
export const withoutOrder = (definition) => definition.replaceAll(/ (COLLATE "C"|(text_pattern_ops|DESC|NULLS (FIRST|LAST))\b)/g, '');

// names are those of all of them.
export const names = [...new Set([...mongodb, ...postgresql].map((k) => k.name)), 'indexes that nobody asked for', 'order of values in indexes', 'a webhook that is changed'];
