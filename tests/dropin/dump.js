// Everything that a database holds, as text that differs where the stored bytes
// do: types of numbers, kinds of texts, indexes. What no two runs have in
// common (new ids, hashes, tokens, the time) is replaced by its kind.
import { BSON } from 'mongodb';

import * as known from './known.js';

const kinds = [
  [/^\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}$/, '<bcrypt>'],
  [/^r:[0-9a-f]{32}$/, '<session token>'],
  [/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/, '<uuid>'],
];

// now replaces a time of the test by its kind. Sessions end in the future.
function now(ms, since) {
  if (ms >= since && ms < since + 3_600_000) return '<now>';
  return ms > since + 300 * 86_400_000 && ms < since + 400 * 86_400_000 ? '<in a year>' : undefined;
}

function mongoValue(v, since) {
  if (v === null || typeof v !== 'object') {
    return typeof v === 'string' ? kinds.find(([pattern]) => pattern.test(v))?.[1] ?? v : v;
  }
  if (Array.isArray(v)) return v.map((el) => mongoValue(el, since));
  if (v.$oid) return '<ObjectId>';
  if (v.$date) return now(Number(v.$date.$numberLong), since) ?? v;
  return Object.fromEntries(Object.entries(v).map(([k, el]) => [k, mongoValue(el, since)]));
}

// sorted has the keys of an object in order.
const sorted = (o) => Object.fromEntries(Object.entries(o).sort(([a], [b]) => (a < b ? -1 : 1)));

// Ids that the server chooses, of classes whose objects it makes itself.
const chosen = /^(_Session|_Idempotency|_PushStatus|_JobStatus)$/;

async function mongoDump(db, since) {
  const out = {};
  for (const { name } of await db.listCollections().toArray()) {
    if (/^_pargo$|^_PargoLease$|^system\./.test(name)) continue; // pargo's own
    const documents = (await db.collection(name).find({}, { promoteValues: false, promoteLongs: false }).toArray()).map((raw) => {
      let doc = mongoValue(JSON.parse(BSON.EJSON.stringify(raw, { relaxed: false })), since);
      if (chosen.test(name)) doc._id = '<id>';
      for (const { change } of known.mongodb) doc = change(name, doc);
      if (doc._metadata) {
        doc._metadata = sorted(doc._metadata);
        for (const key of ['class_permissions', 'fields_options', 'indexes']) {
          if (doc._metadata[key]) doc._metadata[key] = sorted(doc._metadata[key]);
        }
      }
      return JSON.stringify(sorted(doc));
    });
    const indexes = (await db.collection(name).indexes()).filter((index) => !known.ownIndex.test(index.name))
      .map(({ v, ns, background, ...index }) => JSON.stringify(sorted(index)));
    // A collection that holds nothing is as good as none.
    if (documents.length > 0) out[name] = { documents: documents.sort(), indexes: indexes.sort() };
  }
  return out;
}

const postgresKinds = (text, since) => {
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?\+00$/.test(text)) return now(Date.parse(text.replace(' ', 'T').replace('+00', 'Z')), since) ?? text;
  return kinds.find(([pattern]) => pattern.test(text))?.[1] ?? text;
};

async function postgresDump(db, since) {
  const out = {};
  const { rows: columns } = await db.query(`SELECT table_name, column_name, data_type, udt_name, character_maximum_length AS max, is_nullable
    FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2`);
  for (const name of new Set(columns.map((c) => c.table_name))) {
    if (known.ownTable.test(name)) continue;
    const own = columns.filter((c) => c.table_name === name && !(name === '_Hooks' && c.column_name === 'objectId'));
    const { rows } = await db.query(`SELECT ${own.map((c) => `"${c.column_name}"::text`).join()} FROM "${name}"`);
    if (rows.length === 0) continue;
    const documents = rows.map((row) => {
      let doc = Object.fromEntries(Object.entries(row).filter(([, v]) => v !== null).map(([k, v]) => [k, postgresKinds(v, since)]));
      if (chosen.test(name)) doc.objectId = '<id>';
      for (const { change } of known.postgresql) doc = change(name, doc);
      return JSON.stringify(sorted(doc));
    });
    const { rows: indexes } = await db.query('SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1 AND tablename = $2', ['public', name]);
    // A hook that Parse Server changes stays there besides, as it was.
    if (name === '_Hooks') documents.splice(0, documents.length, ...documents.filter((d) => !/"functionName".*example.com.fn"/.test(d)));
    out[name] = {
      columns: own.map((c) => JSON.stringify(sorted(c))).sort(),
      documents: documents.sort(),
      indexes: indexes.filter((index) => index.indexname !== 'ttl' && !known.ownIndex.test(index.indexname)).map((index) => known.withoutOrder(index.indexdef)).sort(),
    };
  }
  return out;
}

// dump reads a database whose test began at the time since.
export const dump = (database, since) => ({ mongodb: mongoDump, postgresql: postgresDump }[database.kind])(database.db, since);

// differences compares two dumps: one line for whatever only one of them has.
export function differences(a, b, nameA, nameB) {
  const lines = [];
  for (const table of [...new Set([...Object.keys(a), ...Object.keys(b)])].sort()) {
    for (const part of ['columns', 'documents', 'indexes']) {
      const left = a[table]?.[part] ?? [];
      const right = b[table]?.[part] ?? [];
      const rest = [...right];
      for (const line of left) {
        const at = rest.indexOf(line);
        if (at >= 0) rest.splice(at, 1);
        else lines.push(`${table} ${part}, ${nameA} only: ${line}`);
      }
      for (const line of rest) lines.push(`${table} ${part}, ${nameB} only: ${line}`);
    }
  }
  return lines;
}
