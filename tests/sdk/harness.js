// Starts the real pargo binary on an empty database and gives the SDK to talk to it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import Parse from 'parse/node';
import { binary, launch, root } from '../server.mjs';

export { binary, root };
// A server with cloud code in Go: that of examples/hello-cloud.
export const helloCloud = process.env.HELLO_CLOUD_BIN ?? path.join(root, 'bin', 'hello-cloud');

// The databases to run every scenario on: the embedded one, and MongoDB when a
// server is named by PARGO_TEST_MONGO_URL. Every data directory has its own one.
export function databases() {
  const list = [{ name: 'sqlite', uri: (dir) => `sqlite:${path.join(dir, 'pargo.db')}` }];
  const mongo = process.env.PARGO_TEST_MONGO_URL;
  if (mongo) {
    const base = mongo.replace(/\/[^/]*$/, '');
    list.push({ name: 'mongodb', uri: (dir) => `${base}/${path.basename(dir).replaceAll('-', '_').toLowerCase()}` });
  }
  return list;
}

// drop removes a MongoDB database by the one command of its protocol that is
// needed here; a server that asks for a log-in keeps it.
async function drop(uri) {
  const { protocol, hostname, port, pathname } = new URL(uri);
  if (protocol !== 'mongodb:') return;
  const field = (type, name, ...value) => Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), ...value]);
  const int = (n) => {
    const b = Buffer.alloc(4);
    b.writeInt32LE(n);
    return b;
  };
  const name = Buffer.from(`${pathname.slice(1)}\0`);
  const fields = Buffer.concat([field(0x10, 'dropDatabase', int(1)), field(0x02, '$db', int(name.length), name), Buffer.from([0])]);
  const message = Buffer.concat([int(1), int(0), int(2013), int(0), Buffer.from([0]), int(fields.length + 4), fields]);
  const socket = connect({ host: hostname, port: Number(port || 27017) });
  try {
    await once(socket, 'connect');
    socket.write(Buffer.concat([int(message.length + 4), message]));
    await once(socket, 'data');
  } finally {
    socket.destroy();
  }
}

// start runs `pargo serve` and resolves once it answers. Of the options, schema
// is the path or the text of a schema file (default: the payment gateway), dir a
// data directory that stop({ keep: true }) left, port the port to listen on,
// program the server to start if it is not pargo itself, and keys the appId and
// masterKey that it is to have. schema: null serves without a file.
export async function start(database, extra = [], { schema = path.join(root, 'schema.json'), dir, port = 0, program = binary, keys } = {}) {
  dir ??= mkdtempSync(path.join(tmpdir(), 'pargo-sdk-'));
  let schemaFile = schema;
  if (schema?.startsWith('{')) {
    schemaFile = path.join(dir, 'schema.json');
    writeFileSync(schemaFile, schema);
  }
  const args = ['serve', '--dataDir', dir, '--databaseURI', database.uri(dir), '--host', '127.0.0.1', '--port', `${port}`,
    ...(schema ? ['--schema', schemaFile] : []), ...(keys ? ['--appId', keys.appId, '--masterKey', keys.masterKey] : []),
    '--startLiveQueryServer', 'true', '--passwordCost', '4', ...extra];
  const server = await launch(program, args);
  const url = server.url.replace('localhost', '127.0.0.1');
  const secrets = keys ?? JSON.parse(readFileSync(path.join(dir, 'secrets.json'), 'utf8'));
  return {
    url, dir, appId: secrets.appId, masterKey: secrets.masterKey, port: Number(new URL(url).port),
    log: server.log,
    crash: server.crash,
    // use makes this server the one that the SDK of this process talks to.
    use(javascriptKey) {
      Parse.initialize(secrets.appId, javascriptKey, secrets.masterKey);
      Parse.serverURL = url;
      Parse.liveQueryServerURL = url.replace(/^http/, 'ws');
    },
    async stop({ keep = false } = {}) {
      const result = await server.stop();
      if (!keep) {
        await drop(database.uri(dir));
        rmSync(dir, { recursive: true, force: true });
      }
      return result;
    },
  };
}

// The text of a schema file with the given classes in pargo's own form.
export const schemaOf = (classes) => JSON.stringify({ classes });

// A schema that leaves everything to the client; classes come by being written to.
export const openSchema = schemaOf([]);
export const freely = ['--allowClientClassCreation', 'true'];

export const master = { useMasterKey: true };
export const as = (user) => ({ sessionToken: user.getSessionToken() });

// code is a check for assert.rejects: the Parse error has this code, and a text like this.
export const code = (expected, text = /./) => (error) => {
  assert.equal(error.code, expected, `${error.code}: ${error.message}`);
  assert.match(error.message, text);
  return true;
};

// collect keeps what a live-query subscription receives.
export async function collect(subscription) {
  const seen = [];
  const waiting = [];
  for (const name of ['create', 'update', 'enter', 'leave', 'delete']) {
    subscription.on(name, (object, original) => {
      seen.push({ event: name, object, original: original instanceof Parse.Object ? original : undefined });
      for (const w of waiting.splice(0)) w();
    });
  }
  return {
    seen,
    // next resolves with the n-th event (from 1), however long before it came.
    async nth(n, timeout = 10_000) {
      const deadline = Date.now() + timeout;
      while (seen.length < n) {
        const left = deadline - Date.now();
        if (left <= 0) throw new Error(`only ${seen.length} of ${n} live-query events came`);
        await new Promise((resolve) => {
          const timer = setTimeout(resolve, left);
          waiting.push(() => { clearTimeout(timer); resolve(); });
        });
      }
      return seen[n - 1];
    },
  };
}
