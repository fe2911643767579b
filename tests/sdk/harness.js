// Starts the real pargo binary on an empty database and gives the SDK to talk to it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = process.env.PARGO_BIN ?? path.join(root, 'bin', 'pargo');

// The databases to run every scenario on: the embedded one, and MongoDB when a
// server is named by PARGO_TEST_MONGO_URL.
export function databases() {
  const list = [{ name: 'sqlite', uri: (dir) => `sqlite:${path.join(dir, 'pargo.db')}` }];
  const mongo = process.env.PARGO_TEST_MONGO_URL;
  if (mongo) {
    const base = mongo.replace(/\/[^/]*$/, '');
    const db = `pargo_sdk_${randomBytes(5).toString('hex')}`;
    list.push({ name: 'mongodb', uri: () => `${base}/${db}` });
  }
  return list;
}

// start runs `pargo serve` and resolves once it answers.
export async function start(database, extra = []) {
  const dir = mkdtempSync(path.join(tmpdir(), 'pargo-sdk-'));
  const args = ['serve', '--dataDir', dir, '--databaseURI', database.uri(dir), '--host', '127.0.0.1', '--port', '0',
    '--schema', path.join(root, 'schema.json'), '--startLiveQueryServer', 'true', '--passwordCost', '4', ...extra];
  const child = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stderr.on('data', (d) => { err += d; });
  const url = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`pargo ended with ${code}: ${err}`)));
    child.stdout.on('data', (d) => {
      out += d;
      const m = /REST API\s+(\S+)/.exec(out);
      if (m && out.includes('Stop with Ctrl-C')) resolve(m[1].replace('localhost', '127.0.0.1'));
    });
  });
  const secrets = JSON.parse(readFileSync(path.join(dir, 'secrets.json'), 'utf8'));
  return {
    url, dir, appId: secrets.appId, masterKey: secrets.masterKey,
    log: () => err,
    async stop() {
      child.removeAllListeners('exit');
      const ended = new Promise((resolve) => child.once('exit', (code, signal) => resolve({ code, signal })));
      child.kill('SIGTERM');
      const result = await ended;
      rmSync(dir, { recursive: true, force: true });
      return result;
    },
  };
}

// events collects what a live-query subscription receives.
export async function collect(subscription) {
  const seen = [];
  const waiting = [];
  for (const name of ['create', 'update', 'enter', 'leave', 'delete']) {
    subscription.on(name, (object) => {
      seen.push({ event: name, object });
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
