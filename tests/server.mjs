// A server as a child of a test, as a rule the real pargo binary: what all suites share.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const binary = process.env.PARGO_BIN ?? path.join(root, 'bin', 'pargo');

// What pargo prints when it answers, with its URL.
const answers = /REST API\s+(\S+)[\s\S]*Stop with Ctrl-C/;

// launch runs a server with the arguments and resolves once it answers: when it
// has printed what ready matches, which has the URL.
export async function launch(program, args, { ready = answers, cwd } = {}) {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const kill = () => child.kill('SIGKILL'); // should the tests end without stop
  process.once('exit', kill);
  let out = '';
  let err = '';
  child.stderr.on('data', (d) => { err += d; });
  const url = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${path.basename(program)} ended with ${code}: ${err}`)));
    child.stdout.on('data', (d) => {
      out += d;
      const m = ready.exec(out);
      if (m) resolve(m[1]);
    });
  });
  const end = async (signal) => {
    child.removeAllListeners('exit');
    const ended = once(child, 'exit');
    child.kill(signal);
    const [code, by] = await ended;
    process.removeListener('exit', kill);
    return { code, signal: by };
  };
  return {
    url,
    log: () => err,
    // stop asks the server to end, crash ends it as a crash does; both resolve
    // to how it ended.
    stop: () => end('SIGTERM'),
    crash: () => end('SIGKILL'),
  };
}
