import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import test from 'node:test';
import { Worker } from 'node:worker_threads';
import { Asker } from './asker.ts';
import { Histogram } from './histogram.ts';
import { questionsOf } from './questions.ts';

/** Answers as it is told to by the last letter of the first label; in a thread, as who asks is busy. */
const server = `
const { parentPort } = require('node:worker_threads');
const socket = require('node:dgram').createSocket('udp4');
let count = 0;
socket.on('message', (message, { port, address }) => {
  const answer = Buffer.from(message);
  answer[2] |= 0x80;
  answer[7] = 1;
  const n = count++ % 10;
  if (n === 0) return;
  if (n === 1) answer[3] |= 2;
  if (n === 2) answer[2] |= 2;
  socket.send(answer, port, address);
  if (n === 3) socket.send(answer, port, address);
});
socket.bind(0, '127.0.0.1', () => parentPort.postMessage(socket.address().port));
parentPort.on('message', () => { socket.close(); parentPort.close(); });
`;

test('answers are counted once, and lost, wrong and cut ones are told', async () => {
  const worker = new Worker(server, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  try {
    const asker = new Asker(questionsOf('a', 100, 64));
    const outcome = asker.run('127.0.0.1', port, { mode: 'open', perSecond: 2000, seconds: 0.1 });
    assert.equal(outcome.asked, 200);
    assert.deepEqual([outcome.lost, outcome.answered, outcome.wrong, outcome.truncated], [20, 180, 20, 20]);
    assert.ok(outcome.p50 <= outcome.p99 && outcome.p99 <= outcome.p999 && outcome.most > 0);
  } finally {
    worker.postMessage('end');
    await once(worker, 'exit');
  }
});

test('a socket that nobody answers on loses all, and ends', async () => {
  const silent = dgram.createSocket('udp4');
  silent.bind(0, '127.0.0.1');
  await once(silent, 'listening');
  const { answered, lost, asked } = new Asker(questionsOf('a', 100, 64)).run('127.0.0.1', silent.address().port, { mode: 'closed', underWay: 8, seconds: 0.05 });
  silent.close();
  assert.deepEqual([answered, lost], [0, 8]);
  assert.equal(asked, 8);
});

test('a histogram is precise to a thirtieth, from microseconds to minutes', () => {
  const times = new Histogram();
  for (let us = 1; us <= 100_000; us++) times.add(us);
  for (const part of [0.001, 0.5, 0.99, 0.999]) assert.ok(Math.abs(times.quantile(part) / (part * 100_000) - 1) < 0.033, `${part}`);
  assert.ok(Number.isNaN(new Histogram().quantile(0.5)));
});

test('questions of a kind are the same in every run, and the mix has its parts', () => {
  const mix = questionsOf('mix', 1000, 10_000);
  assert.deepEqual(mix[77]!.message, questionsOf('mix', 1000, 100)[77]!.message);
  const nothing = mix.filter(({ rcode }) => rcode === 3).length;
  assert.ok(nothing > 4000 && nothing < 4400, `${nothing} of 10,000`);
});
