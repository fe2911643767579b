// Tells which databases the tests run on.
import { databases, skipped } from './servers.js';

console.log(skipped ? `in place of Parse Server: nothing tested, ${skipped}` : `in place of Parse Server on: ${databases().map((d) => d.name).join(', ')}`);
process.exit(0);
