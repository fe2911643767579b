// Parse Server and pargo on one database, with one file of options, and a
// client that speaks REST to either.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { describe } from 'node:test';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { MongoClient } from 'mongodb';
import pg from 'pg';

import { start } from '../sdk/harness.js';
import { launch } from '../server.mjs';

export const keys = { appId: 'dropin', masterKey: 'dropin-master' };

// What both servers are started with. The times are those after which the one
// notices what the other has changed.
const seen = 1000;
// How long to wait for that, on a busy machine.
export const room = 15 * seen;
const options = {
  ...keys,
  allowClientClassCreation: true,
  allowCustomObjectId: true,
  cacheTTL: seen,
  databaseOptions: { schemaCacheTtl: seen, disableIndexFieldValidation: true },
  idempotencyOptions: { paths: ['classes/.*', 'functions/.*'], ttl: 300 },
  auth: { mfa: { options: ['TOTP'], digits: 6, period: 30, algorithm: 'SHA1' } },
};

const unique = () => `pargo_dropin_${process.pid}_${randomBytes(4).toString('hex')}`;

// databases lists the kinds of database to test on: those whose server is named
// by the environment. new() makes an empty one.
export function databases() {
  const list = [];
  const mongo = process.env.PARGO_TEST_MONGO_URL;
  if (mongo) {
    list.push({
      name: 'mongodb',
      async new() {
        const name = unique();
        const client = await MongoClient.connect(mongo);
        return {
          kind: 'mongodb', uri: `${mongo.replace(/\/[^/]*$/, '')}/${name}`, db: client.db(name),
          async drop() {
            await client.db(name).dropDatabase();
            await client.close();
          },
        };
      },
    });
  }
  const postgres = process.env.PARGO_TEST_POSTGRES_URL;
  if (postgres) {
    const admin = async (command) => {
      const client = new pg.Client(postgres);
      await client.connect();
      await client.query(command);
      await client.end();
    };
    list.push({
      name: 'postgresql',
      async new() {
        const name = unique();
        await admin(`CREATE DATABASE ${name}`);
        const uri = new URL(postgres);
        uri.pathname = `/${name}`;
        const client = new pg.Client(uri.href);
        await client.connect();
        await client.query("SET timezone = 'UTC'");
        return {
          kind: 'postgresql', uri: uri.href, db: client,
          async drop() {
            await client.end();
            await admin(`DROP DATABASE ${name} WITH (FORCE)`);
          },
        };
      },
    });
  }
  const only = process.env.DROPIN_DATABASE;
  return only ? list.filter((d) => d.name === only) : list;
}

// skipped is a reason for node:test to pass over the tests, false if there is a database.
export const skipped = databases().length === 0 && 'no server is named by PARGO_TEST_MONGO_URL or PARGO_TEST_POSTGRES_URL';

// onAll describes tests for each kind of database, at the same time on all of them.
export function onAll(what, tests) {
  describe(what, { concurrency: true }, () => {
    for (const kind of databases()) describe(`${what} on ${kind.name}`, { concurrency: 1 }, () => tests(kind));
  });
}

// Client sends requests to one server, on a database of a kind. as() gives one with another session, or
// with the master key for a token of true.
export class Client {
  constructor(name, url, kind, token = true, headers = {}) {
    Object.assign(this, { name, url, kind, token, headers });
  }

  as(token, headers = {}) { return new Client(this.name, this.url, this.kind, token, headers); }

  // send answers the status and body of any request. Parse Server refuses one that
  // brings fields into being if an older look at the schema, on account of
  // schemaCacheTtl, comes in after the one that follows the change: nothing was
  // written, and its clients ask again.
  async send(method, route, body) {
    for (let tries = 1; ; tries++) {
      const answer = await this.once(method, route, body);
      if (this.name !== 'parse-server' || tries === 3 || answer.body?.code !== 107 || !/^Could not add field/.test(answer.body.error)) return answer;
    }
  }

  async once(method, route, body) {
    const headers = { 'X-Parse-Application-Id': keys.appId, 'Content-Type': 'application/json', ...this.headers };
    if (this.token === true) headers['X-Parse-Master-Key'] = keys.masterKey;
    else if (this.token) headers['X-Parse-Session-Token'] = this.token;
    const answer = await fetch(this.url + encodeURI(route), { method, headers, body: body && JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text ? JSON.parse(text) : null };
  }

  // do answers the body of a request that must succeed.
  async do(method, route, body) {
    const { status, body: answer } = await this.send(method, route, body);
    if (status < 200 || status > 299) {
      throw new Error(`${this.name}: ${method} ${route} ${JSON.stringify(body)}: ${status} ${JSON.stringify(answer)}`);
    }
    return answer;
  }

  get(route) { return this.do('GET', route); }
  post(route, body = {}) { return this.do('POST', route, body); }
  put(route, body = {}) { return this.do('PUT', route, body); }
  delete(route) { return this.do('DELETE', route); }

  find(className, parameters = {}) {
    return this.send('POST', `/classes/${className}`, { _method: 'GET', ...parameters });
  }
}

// parseServer starts Parse Server on a database.
export async function parseServer(database, more = {}) {
  const script = path.join(path.dirname(fileURLToPath(import.meta.url)), 'parse-server.js');
  const server = await launch(process.execPath, [script, JSON.stringify({ ...options, databaseURI: database.uri, ...more })], { ready: /serving (\S+)/, cwd: tmpdir() });
  return { client: new Client('parse-server', server.url, database.kind), log: server.log, stop: server.stop };
}

// pargo starts pargo on a database, with the options of Parse Server.
export async function pargo(database, more = {}) {
  const dir = mkdtempSync(path.join(tmpdir(), 'pargo-dropin-'));
  const file = path.join(dir, 'options.json');
  writeFileSync(file, JSON.stringify({ ...options, ...more }));
  const server = await start({ uri: () => database.uri }, ['--config', file], { schema: null, dir, keys });
  return {
    client: new Client('pargo', server.url, database.kind),
    log: server.log,
    async stop() {
      await server.stop({ keep: true });
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

export const starters = { 'parse-server': parseServer, pargo };
