// Sign-in by providers and the second factor, by the unmodified JS SDK, against
// an identity server of these tests.
import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';

import { as, code, databases, freely, master, openSchema, start } from './harness.js';

const day = 24 * 60 * 60; // the period of codes: none ends while these tests run
const secret = 'JBSWY3DPEHPK3PXPJBSWY3DP';

// totp is the code of the secret, some steps from now (RFC 6238).
function totp(from) {
  const bits = [...secret].map((c) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(c).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((b) => parseInt(b, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigInt64BE(BigInt(Math.floor(Date.now() / 1000 / day) + from));
  const sum = createHmac('sha1', key).update(counter).digest();
  return String((sum.readUInt32BE(sum[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

// identityServer tells whose an access token is, and signs ID tokens.
async function identityServer() {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const b64 = (v) => Buffer.from(JSON.stringify(v)).toString('base64url');
  const server = createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    const answer = (v) => res.setHeader('Content-Type', 'application/json').end(JSON.stringify(v));
    switch (req.url) {
      case '/introspect': {
        const [user, app] = (new URLSearchParams(body).get('token') ?? '').split('@');
        return answer(user ? { active: true, sub: user, client_id: app } : { active: false });
      }
      case '/.well-known/openid-configuration':
        return answer({ issuer: server.url, jwks_uri: `${server.url}/keys` });
      case '/keys':
        return answer({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }] });
      default:
        return res.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  server.url = `http://127.0.0.1:${server.address().port}`;
  server.idToken = (sub, aud = 'web') => {
    const head = `${b64({ alg: 'RS256', kid: 'k1' })}.${b64({ iss: server.url, sub, aud, exp: Math.floor(Date.now() / 1000) + 600 })}`;
    return `${head}.${createSign('sha256').update(head).sign(privateKey, 'base64url')}`;
  };
  return server;
}

for (const database of databases()) {
  describe(`sign-in on ${database.name}`, () => {
    let idp;
    let server;
    const token = (id, app = 'web') => ({ authData: { id, access_token: `${id}@${app}` } });

    before(async () => {
      idp = await identityServer();
      const auth = {
        corp: { oauth2: true, tokenIntrospectionEndpointUrl: `${idp.url}/introspect`, useridField: 'sub', appidField: 'client_id', appIds: ['web'] },
        idp: { oidc: true, issuer: idp.url, clientId: 'web' },
        mfa: { options: ['TOTP'], period: day },
      };
      server = await start(database, [...freely, '--auth', JSON.stringify(auth)], { schema: openSchema });
      server.use();
    });
    after(async () => {
      await server.stop();
      idp.close();
    });

    test('logInWith signs up, then logs in', async () => {
      const first = await Parse.User.logInWith('corp', token('ann'));
      assert.equal(first.existed(), false);
      const again = await Parse.User.logInWith('corp', token('ann'));
      assert.deepEqual([again.id, again.existed()], [first.id, true]);
      assert.notEqual(again.getSessionToken(), first.getSessionToken());
      assert.equal(again._isLinked('corp'), true);
      const session = await new Parse.Query(Parse.Session).first(as(again));
      assert.equal(session.get('createdWith').authProvider, 'corp');
    });

    test('what is refused', async () => {
      await assert.rejects(Parse.User.logInWith('corp', { authData: { id: 'ann', access_token: 'bob@web' } }), code(Parse.Error.OBJECT_NOT_FOUND, /^OAuth2 access token is invalid for this user\.$/));
      await assert.rejects(Parse.User.logInWith('corp', token('ann', 'phishing')), code(Parse.Error.OBJECT_NOT_FOUND, /^OAuth2: Invalid app ID\.$/));
      await assert.rejects(Parse.User.logInWith('nosuch', { authData: { id: '1' } }), code(Parse.Error.UNSUPPORTED_SERVICE));
    });

    test('an ID token of OpenID Connect', async () => {
      const user = await Parse.User.logInWith('idp', { authData: { id: 'eve', id_token: idp.idToken('eve') } });
      assert.equal((await Parse.User.logInWith('idp', { authData: { id: 'eve', id_token: idp.idToken('eve') } })).id, user.id);
      await assert.rejects(Parse.User.logInWith('idp', { authData: { id: 'eve', id_token: idp.idToken('mallory') } }), code(Parse.Error.OBJECT_NOT_FOUND, /^auth data is invalid for this user\.$/));
      await assert.rejects(Parse.User.logInWith('idp', { authData: { id: 'eve', id_token: idp.idToken('eve', 'other') } }), code(Parse.Error.OBJECT_NOT_FOUND, /audience/));
    });

    test('linkWith, log in, unlink', async () => {
      const dora = await new Parse.User({ username: 'dora', password: 'pw' }).signUp();
      await dora.linkWith('corp', token('dora'), as(dora));
      assert.equal(dora._isLinked('corp'), true);
      let user = await Parse.User.logInWith('corp', token('dora')); // the first session of this installation ends
      assert.equal(user.id, dora.id);
      await user.linkWith('idp', { authData: { id: 'dora', id_token: idp.idToken('dora') } }, as(user));
      user = await Parse.User.logInWith('idp', { authData: { id: 'dora', id_token: idp.idToken('dora') } });
      assert.equal(user.id, dora.id);
      const other = await new Parse.User({ username: 'emil', password: 'pw' }).signUp();
      await assert.rejects(other.linkWith('corp', token('dora'), as(other)), code(Parse.Error.ACCOUNT_ALREADY_LINKED, /^this auth is already used$/));
      await user._unlinkFrom('corp', as(user));
      assert.equal(user._isLinked('corp'), false);
      assert.notEqual((await Parse.User.logInWith('corp', token('dora'))).id, user.id);
    });

    test('an anonymous user links a provider', async () => {
      const user = await Parse.User.logInWith('anonymous', { authData: { id: 'a-device' } });
      await user.linkWith('corp', token('fred'), as(user));
      await user._unlinkFrom('anonymous', as(user));
      assert.equal((await Parse.User.logInWith('corp', token('fred'))).id, user.id);
      assert.notEqual((await Parse.User.logInWith('anonymous', { authData: { id: 'a-device' } })).id, user.id);
    });

    test('a second factor', async () => {
      const user = await new Parse.User({ username: 'gina', password: 'pw' }).signUp();
      await user.save({ authData: { mfa: { secret, token: totp(0) } } }, as(user));
      const recovery = user.get('authDataResponse').mfa.recovery.split(', ');
      assert.equal(recovery.length, 2);
      const me = await new Parse.Query(Parse.User).get(user.id, as(user));
      assert.deepEqual(me.get('authData'), { mfa: { status: 'enabled' } });
      await assert.rejects(Parse.User.logIn('gina', 'pw'), code(Parse.Error.OTHER_CAUSE, /^Missing additional authData mfa$/));
      const withCode = (t) => Parse.User.logInWithAdditionalAuth('gina', 'pw', { mfa: { token: t } });
      await assert.rejects(withCode('000000'), code(Parse.Error.SCRIPT_FAILED, /^Invalid MFA token$/));
      assert.equal((await withCode(totp(0))).id, user.id);
      await assert.rejects(withCode(totp(0)), code(Parse.Error.SCRIPT_FAILED));
      assert.equal((await withCode(recovery[0])).id, user.id);
      await assert.rejects(withCode(recovery[0]), code(Parse.Error.SCRIPT_FAILED));
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => withCode(recovery[1]))); // at once
      assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
      const last = results.find((r) => r.status === 'fulfilled').value;
      await last.save({ authData: { mfa: null } }, as(last));
      await Parse.User.logIn('gina', 'pw');
    });

    test('many who come with one new id become one user', async () => {
      const users = await Promise.all(Array.from({ length: 20 }, () => Parse.User.logInWith('corp', token('new'))));
      assert.equal(new Set(users.map((u) => u.id)).size, 1);
      assert.equal(users.filter((u) => !u.existed()).length, 1);
      assert.equal(await new Parse.Query(Parse.User).equalTo('authData.corp.id', 'new').count(master), 1);
    });
  });
}
