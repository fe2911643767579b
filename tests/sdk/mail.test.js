// Verification of addresses and reset of passwords, by the mails that the
// server captures in development.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import Parse from 'parse/node';
import { code, databases, freely, openSchema, start } from './harness.js';

const OBJECT_NOT_FOUND = 101;
const EMAIL_MISSING = 204;
const EMAIL_NOT_FOUND = 205;
const INVALID_SESSION = 209;
const VALIDATION_ERROR = 142;

for (const database of databases()) {
  describe(`mails on ${database.name}`, () => {
    let server;
    const seen = new Set();

    before(async () => {
      server = await start(database, [...freely, '--development', 'true', '--appName', 'Tea', '--verifyUserEmails', 'true',
        '--preventLoginWithUnverifiedEmail', 'true', '--passwordPolicy', '{"validatorPattern":"^.{6,}$"}',
        '--accountLockout', '{"duration":1,"threshold":2}'], { schema: openSchema });
      server.use();
    });
    after(() => server?.stop());

    // link waits for the mail to an address and returns the link in it.
    async function link(to) {
      for (let tries = 0; tries < 400; tries++) {
        const list = await (await fetch(`${new URL(server.url).origin}/dev/mail.json`)).json();
        const mail = list.find((m) => m.to === to && !seen.has(m.id));
        if (mail) {
          seen.add(mail.id);
          return /https?:\S+/.exec(mail.text)[0];
        }
        await new Promise((resolve) => { setTimeout(resolve, 25); });
      }
      throw new Error(`no mail to ${to}: ${server.log()}`);
    }

    async function signUp(name) {
      const user = new Parse.User();
      await user.signUp({ username: name, password: `secret-${name}`, email: `${name}@example.com` });
      return user;
    }

    test('a user logs in once his address is verified', async () => {
      const user = await signUp('ann');
      assert.equal(user.getSessionToken(), undefined);
      await assert.rejects(Parse.User.logIn('ann', 'secret-ann'), code(EMAIL_NOT_FOUND, /^User email is not verified\.$/));
      const first = await link('ann@example.com');
      await Parse.User.requestEmailVerification('ann@example.com');
      const second = await link('ann@example.com');
      assert.match(await (await fetch(first)).text(), /This link cannot be used/);
      assert.match(await (await fetch(second)).text(), /Address confirmed/);
      const ann = await Parse.User.logIn('ann', 'secret-ann');
      assert.equal(ann.get('emailVerified'), true);
      await Parse.User.requestEmailVerification('nobody@example.com'); // tells nothing
      await assert.rejects(Parse.User.requestEmailVerification(''), code(EMAIL_MISSING));
    });

    test('a password is reset by the mail', async () => {
      await signUp('bob');
      await fetch(await link('bob@example.com'));
      const bob = await Parse.User.logIn('bob', 'secret-bob');
      await Parse.User.requestPasswordReset('nobody@example.com'); // tells nothing
      await assert.rejects(Parse.User.requestPasswordReset(''), code(EMAIL_MISSING));
      await Parse.User.requestPasswordReset('bob@example.com');
      const url = new URL(await link('bob@example.com'));
      const choose = async (password) => {
        const answer = await fetch(url.origin + url.pathname, {
          method: 'POST', headers: { 'X-Requested-With': 'XMLHttpRequest' },
          body: new URLSearchParams({ token: url.searchParams.get('token'), new_password: password }),
        });
        return answer.json();
      };
      assert.equal((await choose('short')).error, 'Password does not meet the Password Policy requirements.');
      assert.equal(await choose('new-secret'), 'Password successfully reset');
      assert.equal((await choose('once-more')).error, 'Failed to reset password: username / email / token is invalid');
      await assert.rejects(Parse.User.me(bob.getSessionToken()), code(INVALID_SESSION));
      await Parse.User.logIn('bob', 'new-secret');
    });

    test('policy and lockout', async () => {
      const user = new Parse.User();
      await assert.rejects(user.signUp({ username: 'carl', password: 'short' }), code(VALIDATION_ERROR, /Password Policy/));
      await signUp('carl');
      for (const text of [/^Invalid/, /^Invalid/, /^Your account is locked .* after 1 minute\(s\)$/]) {
        await assert.rejects(Parse.User.logIn('carl', 'wrong'), code(OBJECT_NOT_FOUND, text));
      }
    });
  });
}
