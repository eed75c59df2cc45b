import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConntrackEntry } from '../../kernel/conntrack.ts';
import { IpAddr } from '../../net/ip.ts';
import type { PlannedPort } from '../../services/index.ts';
import { StaleUdp } from './stale-udp.ts';

const [vip, pod, client] = ['10.96.0.80', '10.244.1.2', '10.244.1.9'].map(IpAddr.parse) as [IpAddr, IpAddr, IpAddr];
const backend = { key: `${pod} . 8080`, address: pod, port: 8080, ready: true, serving: true, terminating: false, isLocal: true };
const port: PlannedPort = {
  ...{ name: '', family: 'ipv4', protocol: 'udp', clusterIp: vip, port: 80, nodePort: undefined, externalIps: [] },
  serving: [{ ...backend, zones: undefined, nodes: undefined }],
};
const entry = {
  original: { source: client, destination: vip, destinationPort: 80, protocol: 'udp' },
  reply: { source: pod, sourcePort: 8080, destination: client, protocol: 'udp' },
} as ConntrackEntry;

/** A table in which the client's next packet makes its entry again as long as the kernel leads there. */
function table(): { list: () => ConntrackEntry[]; deleteAll: () => number; failure: Error | undefined } {
  return {
    failure: undefined,
    list() {
      if (this.failure) throw this.failure;
      return [entry];
    },
    deleteAll: () => 1,
  };
}

test('SD25: an entry that the client makes again because the kernel refused the new plan is deleted once it holds it', () => {
  const stale = new StaleUdp(table());
  stale.services.set('a', [port], []);
  assert.equal(stale.clean(true), 0);
  stale.services.set('a', [], []);
  assert.equal(stale.clean(false), 1);
  assert.equal(stale.clean(true), 1);
  assert.equal(stale.clean(true), 0);
});

test('SD25: what could not be read is read again', () => {
  const conntrack = table();
  const stale = new StaleUdp(conntrack);
  stale.services.set('a', [port], []);
  stale.clean(true);
  stale.services.set('a', [], []);
  conntrack.failure = new Error('interrupted');
  assert.throws(() => stale.clean(true), /interrupted/);
  conntrack.failure = undefined;
  assert.equal(stale.clean(true), 1);
});
