// Runs Parse Server with the options in argv, on a free port of the loopback
// interface, and prints its URL. It stops with SIGTERM.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);
const { ParseServer } = require('parse-server');
const express = createRequire(require.resolve('parse-server'))('express');

const server = new ParseServer({
  serverURL: 'http://127.0.0.1/parse', silent: true, logsFolder: null, verifyServerUrl: false,
  ...JSON.parse(process.argv[2]),
});
await server.start();
const http = createServer(express().use('/parse', server.app));
http.listen(0, '127.0.0.1', () => console.log(`serving http://127.0.0.1:${http.address().port}/parse`));
process.on('SIGTERM', () => process.exit(0));
