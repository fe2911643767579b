import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, open, sound, start } from './harness.js';

let server;
let browser;

before(async () => {
  server = await start(
    '--preventLoginWithUnverifiedEmail', 'true',
    '--emailVerifyTokenValidityDuration', '3600',
    '--passwordPolicy', '{"validatorPattern":"^(?=.*\\\\d).{8,}$","validationError":"Use eight characters, one of them a digit.","doNotAllowUsername":true,"resetTokenValidityDuration":3600}',
    '--pages', '{"enableLocalization":true}',
    '--maintenanceKey', 'maintenance',
  );
  browser = await browse();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

// member signs somebody up; address and password are made from the name.
async function member(name, more = {}) {
  const email = `${name}@example.com`;
  const { status, body } = await server.api('POST', '/users', { username: name, password: `secret-1-${name.slice(0, 2)}`, email, ...more });
  assert.equal(status, 201, JSON.stringify(body));
  return { id: body.objectId, email, password: `secret-1-${name.slice(0, 2)}` };
}

const login = (username, password) => server.api('POST', '/login', { username, password });

// expire sets the time of a token to the past.
async function expire(user, field) {
  const { status } = await server.api('PUT', `/users/${user.id}`, { [field]: { __type: 'Date', iso: '2001-01-01T00:00:00.000Z' } }, { 'X-Parse-Maintenance-Key': 'maintenance' });
  assert.equal(status, 200);
}

test('an address is confirmed by the link, once', async () => {
  const ann = await member('annette');
  assert.equal((await login('annette', ann.password)).body.code, 205);
  const { link } = await server.mail(ann.email);
  const page = await open(browser);
  await page.goto(link);
  await sound(page, 'en', 'Address confirmed');
  assert.equal((await login('annette', ann.password)).status, 200);
  await page.reload();
  await sound(page, 'en', 'This link cannot be used');
});

test('who has a link whose time is over gets another', async () => {
  const bob = await member('bobby');
  const first = await server.mail(bob.email);
  await expire(bob, '_email_verify_token_expires_at');
  const page = await open(browser);
  await page.goto(first.link);
  await sound(page, 'en', 'This link has expired');
  await page.getByRole('button', { name: 'Send a new link' }).click();
  await sound(page, 'en', 'Mail sent');
  const second = await server.mail(bob.email);
  assert.notEqual(second.link, first.link);
  await page.goto(second.link);
  await sound(page, 'en', 'Address confirmed');
});

test('a password is reset by the form', async () => {
  const carl = await member('carlos');
  const page = await open(browser);
  await page.goto((await server.mail(carl.email)).link);
  const session = (await login('carlos', carl.password)).body.sessionToken;
  assert.equal((await server.api('POST', '/requestPasswordReset', { email: carl.email })).status, 200);
  const { link } = await server.mail(carl.email);
  await page.goto(link);
  await sound(page, 'en', 'Choose a new password');
  const password = page.getByLabel('New password', { exact: true });
  const again = page.getByLabel('New password once more');
  assert.equal(await password.getAttribute('autocomplete'), 'new-password');

  await password.fill('tea4-two-cups');
  await again.fill('tea4-two-cup');
  await page.getByRole('button', { name: 'Change password' }).click();
  await page.getByRole('alert').waitFor();
  assert.equal(await page.getByRole('alert').innerText(), 'The passwords are not the same.');
  assert.equal(await again.getAttribute('aria-invalid'), 'true');
  await sound(page, 'en', 'Choose a new password');
  await again.fill('tea4-two-cups');
  assert.equal(await page.getByRole('alert').count(), 0);
  await page.getByLabel('Show passwords').check();
  assert.equal(await password.getAttribute('type'), 'text');
  await page.getByLabel('Show passwords').uncheck();
  assert.equal(await password.getAttribute('type'), 'password');

  for (const [value, text] of [['short', 'Use eight characters, one of them a digit.'], ['1-carlos-1', 'Password cannot contain your username.']]) {
    await password.fill(value);
    await again.fill(value);
    await page.getByRole('button', { name: 'Change password' }).click();
    await page.getByText(text).waitFor();
    await sound(page, 'en', 'Choose a new password');
  }
  await password.fill('tea4-two-cups');
  await again.fill('tea4-two-cups');
  await again.press('Enter');
  await page.getByRole('heading', { name: 'Password changed' }).waitFor();
  await sound(page, 'en', 'Password changed');

  assert.equal((await server.api('GET', '/users/me', undefined, { 'X-Parse-Session-Token': session })).body.code, 209);
  assert.equal((await login('carlos', carl.password)).body.code, 101);
  assert.equal((await login('carlos', 'tea4-two-cups')).status, 200);
  await page.goto(link);
  await sound(page, 'en', 'This link cannot be used');
});

test('without scripts the server compares the passwords', async () => {
  const dora = await member('doreen');
  await server.mail(dora.email);
  await server.api('POST', '/requestPasswordReset', { email: dora.email });
  const page = await open(browser, { javaScriptEnabled: false });
  await page.goto((await server.mail(dora.email)).link);
  await page.locator('[name=new_password]').fill('tea4-two-cups');
  await page.locator('[name=confirm_new_password]').fill('tea4-two-pots');
  await page.locator('button').click();
  assert.equal(await page.locator('#error').innerText(), 'The passwords are not the same.');
  await page.locator('[name=new_password]').fill('tea4-two-cups');
  await page.locator('[name=confirm_new_password]').fill('tea4-two-cups');
  await page.locator('button').click();
  assert.equal(await page.locator('h1').innerText(), 'Password changed');
  assert.deepEqual(page.problems, []);
});

test('a reset link whose time is over', async () => {
  const eve = await member('evelyn');
  await server.mail(eve.email);
  await server.api('POST', '/requestPasswordReset', { email: eve.email });
  const { link } = await server.mail(eve.email);
  const page = await open(browser);
  await page.goto(link);
  await expire(eve, '_perishable_token_expires_at');
  await page.getByLabel('New password', { exact: true }).fill('tea4-two-cups');
  await page.getByLabel('New password once more').fill('tea4-two-cups');
  await page.getByRole('button').click();
  await page.getByText('The password reset link has expired').waitFor();
  await page.goto(link);
  await sound(page, 'en', 'This link cannot be used');
});

test('in German, in the dark', async () => {
  const fritz = await member('friedrich', { locale: 'de-AT' });
  const mail = await server.mail(fritz.email);
  assert.equal(mail.subject, 'Bitte bestätige deine E-Mail-Adresse für Tea & Cake');
  const page = await open(browser, { colorScheme: 'dark' });
  await page.goto(mail.link);
  await sound(page, 'de', 'Adresse bestätigt');
  await server.api('POST', '/requestPasswordReset', { email: fritz.email });
  await page.goto((await server.mail(fritz.email)).link);
  await sound(page, 'de', 'Neues Passwort wählen');
  await page.getByLabel('Neues Passwort', { exact: true }).fill('1-friedrich');
  await page.getByLabel('Neues Passwort wiederholen').fill('1-friedrich');
  await page.getByRole('button', { name: 'Passwort ändern' }).click();
  await page.getByText('Das Passwort darf deinen Benutzernamen nicht enthalten.').waitFor();
  await sound(page, 'de', 'Neues Passwort wählen');
  await page.getByLabel('Neues Passwort', { exact: true }).fill('tee4-zwei-tassen');
  await page.getByLabel('Neues Passwort wiederholen').fill('tee4-zwei-tassen');
  await page.getByRole('button', { name: 'Passwort ändern' }).click();
  await page.getByRole('heading', { name: 'Passwort geändert' }).waitFor();
  await sound(page, 'de', 'Passwort geändert');
  assert.equal((await login('friedrich', 'tee4-zwei-tassen')).status, 200);
});

test('captured mails are shown to developers', async () => {
  const page = await open(browser);
  await page.goto(server.dev);
  await page.getByRole('link', { name: 'Bitte bestätige deine E-Mail-Adresse für Tea & Cake' }).click();
  assert.match(await page.title(), /^Bitte bestätige/);
  const frame = page.frameLocator('iframe');
  await frame.getByRole('link', { name: 'Adresse bestätigen' }).waitFor();
  if (process.env.PARGO_SCREENSHOTS) await page.screenshot({ path: `${process.env.PARGO_SCREENSHOTS}/captured.png`, fullPage: true });
  assert.deepEqual(page.problems, []);
});
