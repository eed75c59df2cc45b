import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyText, type Lease, type LeaseKey, type LeaseNotes } from '../../ipam/index.ts';
import { eventually } from '../testkit/node.ts';
import { PodView } from '../watch/pod-view.ts';
import { KeptTraits } from './kept-traits.ts';

/** Leases in memory, and what was written of them. */
class Leases {
  readonly written: string[] = [];
  fault: Error | undefined;
  #leases: Lease[];

  constructor(...notes: LeaseNotes[]) {
    this.#leases = notes.map((one, i) => ({ key: { network: 'n', containerId: String(i), ifname: 'eth0' }, addresses: [], notes: one, boot: '' }));
  }

  leases = (): Lease[] => this.#leases;
  replace = (lease: Lease, key: LeaseKey, notes: LeaseNotes): Lease => {
    if (this.fault) throw this.fault;
    this.written.push(`${key.containerId} ${notes.pod}: ${notes.traits}`);
    const next = { ...lease, notes };
    this.#leases = [...this.#leases.filter((one) => keyText(one.key) !== keyText(key)), next];
    return next;
  };
}

const view = (labels: Record<string, string>): PodView =>
  new PodView({
    ...{ namespace: 'default', name: 'a', labels, node: 'me', addresses: [], hostNetwork: false, ended: false },
    ports: [{ name: 'http', protocol: 'TCP', number: 80 }, { protocol: 'TCP', number: 81 }],
  });
const note = (app: string): string => `{"labels":{"app":"${app}"},"ports":[{"name":"http","protocol":"TCP","number":80}]}`;
const quick = { delayMs: 1, pauseMs: 1, retryMs: 1 };

test('what changed is written once to each lease of the pod, and what stands there is not written again', async () => {
  const ipam = new Leases({ pod: 'default/a' }, { pod: 'default/b' }, { pod: 'default/a', traits: note('x') });
  using kept = new KeptTraits({ ipam, log: assert.fail, ...quick });
  for (const app of ['y', 'x']) kept.set('default/a', view({ app }));
  kept.set('default/none', view({}));
  await eventually(() => assert.deepEqual(ipam.written, [`0 default/a: ${note('x')}`]));
  kept.set('default/a', view({ app: 'z' }));
  await eventually(() => assert.equal(ipam.written.length, 3));
  kept.forgetAll();
  await eventually(() => assert.deepEqual(ipam.written.slice(3).sort(), ['0 default/a: ', '2 default/a: ']));
});

test('what is not written yet is written at the end', () => {
  const ipam = new Leases({ pod: 'default/a' });
  {
    using kept = new KeptTraits({ ipam, log: assert.fail });
    kept.set('default/a', view({ app: 'x' }));
    assert.deepEqual(ipam.written, []);
  }
  assert.deepEqual(ipam.written, [`0 default/a: ${note('x')}`]);
});

test('a disk that fails is told of once, and tried again', async () => {
  const ipam = new Leases({ pod: 'default/a' });
  const log: string[] = [];
  ipam.fault = new Error('no space left');
  using kept = new KeptTraits({ ipam, log: (line) => log.push(line), ...quick });
  kept.set('default/a', view({ app: 'x' }));
  await eventually(() => assert.deepEqual(log, ['labels of pods are not noted in their leases: no space left']));
  ipam.fault = undefined;
  await eventually(() => assert.deepEqual(ipam.written, [`0 default/a: ${note('x')}`]));
  assert.equal(log.length, 1);
});
