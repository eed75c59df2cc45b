import assert from 'node:assert/strict';
import { test } from 'node:test';
import { IpAddr } from '../net/ip.ts';
import { Mac } from '../net/mac.ts';
import { Liveness, patience } from './liveness.ts';
import { Repeats } from './repeats.ts';

const address = IpAddr.parse('172.30.0.11');
const mac = Mac.parse('02:00:00:00:00:01');

function bed() {
  const asked: (string | undefined)[] = [];
  const changes: string[] = [];
  const liveness = new Liveness({
    ask: (_, to) => asked.push(to?.toString()),
    onChange: (name, alive) => changes.push(`${name} ${alive ? 'alive' : 'dead'}`),
  });
  liveness.watch(new Map([['a', address]]));
  return { asked, changes, liveness };
}

test('a node that leaves three questions in a row unanswered is dead, and alive with the first answer', () => {
  const { changes, liveness } = bed();
  for (let i = 0; i < patience; i++) liveness.tick();
  assert.deepEqual(changes, []);
  liveness.tick();
  liveness.tick();
  assert.deepEqual(changes, ['a dead']);
  liveness.heard(IpAddr.parse('172.30.0.99'));
  liveness.heard(address, mac);
  assert.deepEqual(changes, ['a dead', 'a alive']);
});

test('answers keep a node alive for ever, however many ticks pass', () => {
  const { changes, liveness } = bed();
  for (let i = 0; i < 50; i++) {
    liveness.tick();
    liveness.tick();
    liveness.heard(address, mac);
  }
  assert.deepEqual(changes, []);
});

test('one node alone is asked where its MAC is known, and everybody when it did not answer', () => {
  const { asked, liveness } = bed();
  liveness.tick();
  liveness.heard(address, mac);
  liveness.tick();
  liveness.tick();
  assert.deepEqual(asked, [undefined, '02:00:00:00:00:01', undefined]);
});

test('while the own link is down nobody is judged, and who is not watched is not asked', () => {
  const { asked, changes, liveness } = bed();
  for (let i = 0; i < 10; i++) {
    liveness.forgive();
    liveness.tick();
  }
  assert.deepEqual(changes, []);
  liveness.watch(new Map());
  asked.length = 0;
  liveness.tick();
  assert.deepEqual([asked, liveness.size], [[], 0]);
});

test('an address is announced at once, soon again, then now and then, and anew when the link came back', () => {
  const repeats = new Repeats();
  repeats.set([address], 0);
  const times: number[] = [];
  for (let ms = 0; ms <= 30_000; ms += 500) if (repeats.due(ms).length > 0) times.push(ms);
  assert.deepEqual(times, [0, 500, 1500, 3500, 13_500, 23_500]);
  repeats.set([address], 30_500);
  assert.deepEqual(repeats.due(30_500), [], 'it is no new one');
  repeats.restart(30_500);
  assert.deepEqual(repeats.due(30_500).map(String), ['172.30.0.11']);
  repeats.set([], 31_000);
  assert.deepEqual([repeats.due(99_999), repeats.size], [[], 0]);
});
