// Starts the real pargo binary in development mode, reads the mails that it
// captures, and opens its pages in Chromium.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { chromium } from 'playwright-core';
import { binary, launch } from '../server.mjs';

// start runs `pargo serve` with the options and resolves once it answers.
export async function start(...options) {
  const dir = mkdtempSync(path.join(tmpdir(), 'pargo-pages-'));
  const args = ['serve', '--dataDir', dir, '--host', '127.0.0.1', '--port', '0', '--passwordCost', '4', '--appName', 'Tea & Cake',
    '--development', 'true', '--verifyUserEmails', 'true', ...options];
  const server = await launch(binary, args);
  const { url } = server;
  const { appId, masterKey } = JSON.parse(readFileSync(path.join(dir, 'secrets.json'), 'utf8'));
  const seen = new Set();
  return {
    url, appId, dev: `${new URL(url).origin}/dev/mail`,
    // api sends a request and resolves to the status and the body.
    async api(method, route, body, headers = {}) {
      const answer = await fetch(url + route, {
        method, body: body && JSON.stringify(body), headers: { 'X-Parse-Application-Id': appId, 'Content-Type': 'application/json', ...headers },
      });
      return { status: answer.status, body: await answer.json() };
    },
    master: { 'X-Parse-Master-Key': masterKey },
    // mail waits for a mail to an address that was not returned yet.
    async mail(to) {
      for (let tries = 0; tries < 400; tries++) {
        const list = await (await fetch(`${this.dev}.json`)).json();
        const m = list.find((x) => x.to === to && !seen.has(x.id));
        if (m) {
          seen.add(m.id);
          return { ...m, link: /https?:\S+/.exec(m.text)[0] };
        }
        await new Promise((resolve) => { setTimeout(resolve, 25); });
      }
      throw new Error(`no mail to ${to}: ${server.log()}`);
    },
    async stop() {
      await server.stop();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

// browse starts the browser; PARGO_CHROMIUM names another than that of Debian.
export function browse() {
  return chromium.launch({ executablePath: process.env.PARGO_CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
}

// open makes a page of the size of a phone that remembers what goes wrong in it.
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.on('console', (m) => { if (['error', 'warning'].includes(m.type())) page.problems.push(m.text()); });
  page.on('pageerror', (e) => page.problems.push(String(e)));
  page.on('request', (r) => {
    const { host, protocol } = new URL(r.url());
    if (protocol !== 'data:' && !host.startsWith('127.0.0.1')) page.problems.push(`loads ${r.url()}`);
  });
  return page;
}

// sound asks of a page what every one must be: in a language, with a title and
// one heading, with a label at each field, no wider than the screen, without errors.
export async function sound(page, lang, title) {
  assert.equal(await page.locator('html').getAttribute('lang'), lang);
  assert.equal(await page.title(), `${title} · Tea & Cake`);
  assert.deepEqual(await page.locator('h1').allTextContents(), [title]);
  assert.equal(await page.locator('main').count(), 1);
  const unlabelled = await page.evaluate(() => [...document.querySelectorAll('input:not([type=hidden])')]
    .filter((i) => i.labels.length === 0 || !i.labels[0].textContent.trim()).map((i) => i.name));
  assert.deepEqual(unlabelled, []);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
  assert.equal(wide, false, 'the page is wider than the screen');
  const low = await page.evaluate(contrast);
  assert.deepEqual(low, [], 'texts that are hard to read');
  assert.deepEqual(page.problems, []);
  if (process.env.PARGO_SCREENSHOTS) {
    await page.screenshot({ path: path.join(process.env.PARGO_SCREENSHOTS, `${lang}-${title}.png`.replaceAll(' ', '_')), fullPage: true });
  }
}

// contrast finds texts whose contrast is under 4.5:1, which WCAG asks of them.
function contrast() {
  const parse = (c) => {
    const [r, g, b, a = 1] = c.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (e) => {
    for (let n = e; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.a === 1) return c.rgb;
    }
    return [255, 255, 255];
  };
  const low = [];
  for (const e of document.querySelectorAll('p, h1, label, button, input')) {
    if (!e.offsetParent || e.type === 'hidden') continue;
    const [a, b] = [luminance(parse(getComputedStyle(e).color).rgb), luminance(background(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) low.push(e.outerHTML);
  }
  return low;
}
