// What `pargo gen ts` writes: it compiles under tsc --strict with the types of
// the SDK, and its classes work against the real binary.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';
import Parse from 'parse/node';
import { binary, databases, root, start } from './harness.js';

// A folder beside node_modules, so that "parse" is found from it.
const dir = mkdtempSync(path.join(path.dirname(fileURLToPath(import.meta.url)), '.gen-'));
after(() => rmSync(dir, { recursive: true, force: true }));

function gen(schema, name) {
  const out = path.join(dir, name);
  const run = spawnSync(binary, ['gen', 'ts', path.join(root, schema), '--out', out, '--import', 'parse/node'], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stderr);
  return out;
}

// compile type-checks files and writes them as JavaScript; it returns what is wrong.
function compile(files) {
  const program = ts.createProgram(files, {
    strict: true, module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022, types: [],
    skipLibCheck: true, // the SDK's own declarations want those of Node
  });
  const { diagnostics } = program.emit();
  return [...ts.getPreEmitDiagnostics(program), ...diagnostics].map((d) => {
    const at = d.file ? `${path.basename(d.file.fileName)}:${d.file.getLineAndCharacterOfPosition(d.start).line + 1}: ` : '';
    return at + ts.flattenDiagnosticMessageText(d.messageText, '\n');
  });
}

const use = `
import Parse from 'parse/node';
import { AccessLog, Payment, PaymentMethod, User } from './model.js';

export async function pay(method: PaymentMethod): Promise<Payment> {
  const made: { payment: string } = await Parse.Cloud.run('processPayment', { amount: 12.5, paymentMethod: method.id, idempotencyKey: 'k' });
  return new Parse.Query(Payment).get(made.payment);
}

export function addMethod(details: string): Promise<PaymentMethod> {
  return new PaymentMethod({ type: 'card', details }).save();
}

export async function log(user: User): Promise<AccessLog[]> {
  const query = new Parse.Query(AccessLog);
  query.equalTo('user', user).ascending('createdAt');
  return query.find();
}

export function types(p: Payment): void {
  const status: 'pending' | 'processing' | 'completed' | 'failed' | 'cancelled' | 'refunded' = p.get('status');
  const amount: number = p.get('amount');
  const note: string | undefined = p.get('description');
  const owner: User = p.get('user');
  const email: string = owner.get('email');
  // @ts-expect-error there is no such attribute
  p.get('colour');
  // @ts-expect-error it is a number
  p.set('amount', '12');
  // @ts-expect-error it is none of the statuses
  p.set('status', 'done');
  void [status, amount, note, email];
}
`;

describe('pargo gen ts', () => {
  it('compiles strictly, whatever types and names there are', () => {
    assert.deepEqual(compile([gen('internal/codegen/testdata/schema.json', 'all.ts')]), []);
  });

  it('gives typed attributes', () => {
    gen('schema.json', 'model.ts');
    const file = path.join(dir, 'use.ts');
    writeFileSync(path.join(dir, 'package.json'), '{"type":"module"}');
    writeFileSync(file, use);
    assert.deepEqual(compile([file]), []);
  });

  it('finds mistakes', () => {
    const file = path.join(dir, 'wrong.ts');
    writeFileSync(file, "import { Payment } from './model.js';\nexport const n: number = new Payment().get('status');\n");
    assert.equal(compile([file]).length, 1);
  });

  for (const database of databases().slice(0, 1)) {
    describe(`against ${database.name}`, () => {
      let server;
      before(async () => { server = await start(database); });
      after(() => server?.stop());

      it('makes, finds and calls with generated classes', async () => {
        server.use();
        Parse.User.enableUnsafeCurrentUser();
        const model = await import(pathToFileURL(path.join(dir, 'model.js')).href);
        const app = await import(pathToFileURL(path.join(dir, 'use.js')).href);
        const user = await new model.User({ username: 'ann', password: 'p', email: 'ann@example.com' }).signUp();
        assert.ok(user instanceof model.User);
        const method = await app.addMethod('tok_approve');
        assert.ok(method instanceof model.PaymentMethod);
        assert.ok(method.id);
        const payment = await app.pay(method);
        assert.ok(payment instanceof model.Payment);
        assert.equal(payment.get('status'), 'completed');
        assert.equal(payment.get('amount'), 12.5);
        assert.ok(payment.get('user') instanceof model.User);
        const log = await app.log(user);
        assert.ok(log.length > 0 && log.every((entry) => entry instanceof model.AccessLog));
        for (const name of ['User', 'Role', 'PaymentMethod', 'Payment', 'Transaction', 'TransactionHistory', 'Notification', 'AccessLog']) {
          Parse.Object.unregisterSubclass(name === 'User' || name === 'Role' ? `_${name}` : name);
        }
        await Parse.User.logOut();
      });
    });
  }
});
