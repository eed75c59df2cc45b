import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Lease } from '../../ipam/index.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';
import type { PolicyPod } from '../../policy/world.ts';
import { PodView } from '../watch/pod-view.ts';
import { traitsNote, unknownLabels } from './pod-traits.ts';
import { PolicyPods } from './pods.ts';

const lease = (containerId: string, pod: string, ...addresses: string[]): Lease =>
  ({
    key: { network: 'n', containerId, ifname: 'eth0' },
    addresses: addresses.map(IpAddr.parse),
    notes: { pod },
    boot: '',
  }) as Lease;
const podsOf = (...leases: Lease[]): PolicyPods =>
  new PolicyPods('me', { leases: () => leases, ranges: [Prefix.parse('10.1.0.0/24')] });
const view = (more: Partial<PolicyPod> = {}): PodView =>
  new PodView({
    ...{
      namespace: 'default',
      name: 'a',
      labels: { app: 'a' },
      node: 'me',
      addresses: [],
      hostNetwork: false,
      ended: false,
      ports: [],
    },
    ...more,
  });
const addresses = (pod: PolicyPod | undefined): string[] | undefined => pod?.addresses.map(String);

test('NP20: of its own pods the node knows the addresses by its leases, before their Pods tell of them and when they tell of them no more', () => {
  const [first, second] = [lease('1', 'default/a', '10.1.0.2', 'fd01::2'), lease('2', 'default/a', '10.1.0.3')];
  const pods = podsOf(first, second, lease('3', 'default/b', '10.1.0.9'));
  assert.deepEqual(addresses(pods.planned(view())), ['10.1.0.2', 'fd01::2', '10.1.0.3'], 'a new sandbox beside the former one');
  assert.deepEqual(addresses(pods.planned(view(), { ...first })), ['10.1.0.3']);
  const stale = view({ name: 'gone', addresses: [IpAddr.parse('10.1.0.2')] });
  assert.deepEqual(addresses(pods.planned(stale)), [], 'the address is another pod by now');
  assert.deepEqual(addresses(pods.planned(stale.with({ node: 'other' }))), ['10.1.0.2'], 'the word of another node');
});

test('an address that no lease names a pod for is the pod that says so: of leases made anew from links, and of other plugins', () => {
  const pods = podsOf(lease('?', '', '10.1.0.7'));
  const claimed = ['10.1.0.7', '10.1.0.8', '192.0.2.99'].map(IpAddr.parse);
  assert.deepEqual(addresses(pods.planned(view({ addresses: claimed }))), ['10.1.0.7', '192.0.2.99']);
});

test('NP20: a pod of this node that has ended is somebody as long as its lease is held, and nobody elsewhere', () => {
  const ended = view({ ended: true, addresses: ['10.1.0.2', '192.0.2.99'].map(IpAddr.parse) });
  const only = lease('1', 'default/a', '10.1.0.2');
  const planned = podsOf(only).planned(ended);
  assert.deepEqual([planned.ended, addresses(planned)], [false, ['10.1.0.2']]);
  assert.equal(podsOf(only).planned(ended, only).ended, true);
  assert.equal(podsOf(only).planned(ended.with({ node: 'other' })).ended, true);
  const madeAnew = podsOf(lease('?', '', '10.1.0.2')).planned(ended);
  assert.deepEqual([madeAnew.ended, addresses(madeAnew)], [false, ['10.1.0.2']], 'its link is there');
  assert.equal(podsOf().planned(ended).ended, true, 'what another plugin gave it was given to others');
});

test('a pod that the API does not know is planned for as long as it has an address here, by what is known of it or was noted', () => {
  const only = lease('1', 'default/a', '10.1.0.2');
  const pods = podsOf(only, lease('2', 'alone', '10.1.0.3'));
  const { namespace, name, labels, node } = pods.unknown('default/a')!;
  assert.deepEqual([namespace, name, labels, node], ['default', 'a', unknownLabels, 'me']);
  assert.equal(pods.unknown('default/a', undefined, only), undefined);
  const last = pods.unknown('default/a', view({ addresses: [IpAddr.parse('10.1.0.9')] }))!;
  assert.deepEqual([last.labels, addresses(last)], [{ app: 'a' }, ['10.1.0.2']], 'what was known of it last');
  assert.equal(pods.unknown('alone'), undefined, 'no name of a pod');
  assert.deepEqual([...pods.keys()], ['default/a', 'alone']);
});

test('of leases of one pod the newest tells its labels, if all of them tell some', () => {
  const ports = [{ name: 'http', protocol: 'TCP' as const, number: 80 }];
  const noted = (containerId: string, since: string, app?: string): Lease => {
    const one = lease(containerId, 'default/a', `10.1.0.${containerId}`);
    const traits = app === undefined ? '' : traitsNote(view({ labels: { app }, ports }));
    return { ...one, notes: { ...one.notes, since, traits } };
  };
  const both = podsOf(noted('2', '2026-01-02T00:00:00Z', 'new'), noted('3', '2026-01-01T00:00:00Z', 'old')).unknown('default/a')!;
  assert.deepEqual([both.labels, both.ports, addresses(both)], [{ app: 'new' }, ports, ['10.1.0.2', '10.1.0.3']]);
  const one = podsOf(noted('2', '2026-01-02T00:00:00Z'), noted('3', '2026-01-01T00:00:00Z', 'old')).unknown('default/a')!;
  assert.deepEqual(one.labels, unknownLabels);
});
