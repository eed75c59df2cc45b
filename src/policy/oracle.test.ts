import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { LabelSelector, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort, Pod } from '../kube/types.ts';
import type { IpAddr } from '../net/ip.ts';
import { Prefix } from '../net/prefix.ts';
import { evaluate } from './evaluate.ts';
import type { Packet } from './packet.ts';
import type { AnyObject } from './policies.ts';
import { readWorld } from './read-world.ts';
import { randomCase } from './testkit/random.ts';

/*
 * NetworkPolicies once more, from the objects as they are and by other means than the model's: what is read wrongly there is not read wrongly here
 * in the same way. No reasons, no tiers, no failing closed.
 */

type LabelsOf = Record<string, string> | undefined;

function selected(selector: LabelSelector, labels: LabelsOf = {}): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) if (labels[key] !== value) return false;
  for (const { key, operator, values = [] } of selector.matchExpressions ?? []) {
    const value = labels[key];
    if (operator === 'Exists' && value === undefined) return false;
    if (operator === 'DoesNotExist' && value !== undefined) return false;
    if (operator === 'In' && (value === undefined || !values.includes(value))) return false;
    if (operator === 'NotIn' && value !== undefined && values.includes(value)) return false;
  }
  return true;
}

const ofKind = <T>(objects: readonly AnyObject[], kind: string): T[] => objects.filter((object) => object.kind === kind) as T[];

function allowedByOracle(objects: readonly AnyObject[], packet: Packet): boolean {
  const pods = ofKind<Pod>(objects, 'Pod').filter(({ spec, status }) => !spec?.hostNetwork && status?.phase === 'Running');
  const podOf = (address: IpAddr): Pod | undefined =>
    pods.find(({ status }) => status?.podIPs?.some(({ ip }) => ip === String(address)));
  const nodeOf = (address: IpAddr): string | undefined =>
    ofKind<{ metadata: { name: string }; status: { addresses: { address: string }[] } } & AnyObject>(objects, 'Node').find(
      ({ status }) => status.addresses.some((one) => one.address === String(address)),
    )?.metadata.name;
  const namespaceLabels = (name: string | undefined): LabelsOf => {
    const found = ofKind<{ metadata: { name: string; labels?: Record<string, string> } } & AnyObject>(objects, 'Namespace').find(
      ({ metadata }) => metadata.name === name,
    );
    return { ...found?.metadata.labels, 'kubernetes.io/metadata.name': name! };
  };
  const [source, destination] = [podOf(packet.source), podOf(packet.destination)];

  const side = (subject: Pod | undefined, peer: Pod | undefined, address: IpAddr, way: 'Ingress' | 'Egress'): boolean => {
    if (!subject || subject === peer || nodeOf(address) === subject.spec?.nodeName) return true;
    const isolating = ofKind<NetworkPolicy>(objects, 'NetworkPolicy').filter(({ metadata, spec }) => {
      const types = spec?.policyTypes?.length ? spec.policyTypes : ['Ingress', ...(spec?.egress?.length ? ['Egress'] : [])];
      return (
        metadata.namespace === subject.metadata.namespace &&
        types.includes(way) &&
        selected(spec?.podSelector ?? {}, subject.metadata.labels)
      );
    });
    if (isolating.length === 0) return true;
    const peerFits = (item: NetworkPolicyPeer, namespace: string | undefined): boolean => {
      if (item.ipBlock) {
        const inside = (cidr: string): boolean => Prefix.parse(cidr).contains(address);
        return inside(item.ipBlock.cidr) && !(item.ipBlock.except ?? []).some(inside);
      }
      if (!peer) return false;
      const namespaceFits = item.namespaceSelector
        ? selected(item.namespaceSelector, namespaceLabels(peer.metadata.namespace))
        : peer.metadata.namespace === namespace;
      return namespaceFits && selected(item.podSelector ?? {}, peer.metadata.labels);
    };
    const portFits = ({ protocol = 'TCP', port, endPort }: NetworkPolicyPort, isBlock: boolean): boolean => {
      if (packet.protocol !== protocol) return false;
      if (port === undefined) return true;
      if (typeof port === 'number') return port <= packet.port! && packet.port! <= (endPort ?? port);
      if (isBlock && way === 'Egress') return false;
      return (destination?.spec?.containers ?? []).some(({ ports }) =>
        ports?.some((one) => one.name === port && (one.protocol ?? 'TCP') === protocol && one.containerPort === packet.port),
      );
    };
    return isolating.some(({ metadata, spec }) => {
      const rules: { peers: NetworkPolicyPeer[] | undefined; ports: NetworkPolicyPort[] | undefined }[] =
        way === 'Ingress'
          ? (spec?.ingress ?? []).map(({ from, ports }) => ({ peers: from, ports }))
          : (spec?.egress ?? []).map(({ to, ports }) => ({ peers: to, ports }));
      return rules.some(({ peers, ports }) => {
        const fitting = peers?.length ? peers.filter((item) => peerFits(item, metadata.namespace)) : [{}];
        return fitting.some((item) => !ports?.length || ports.some((port) => portFits(port, 'ipBlock' in item)));
      });
    });
  };
  return side(source, destination, packet.destination, 'Egress') && side(destination, source, packet.source, 'Ingress');
}

test('NP1, NP5, NP6, NP7, NP9: a second reading of the specification agrees on 10,000 generated cases', () => {
  let denied = 0;
  for (let seed = 1; seed <= 10_000; seed++) {
    const { objects, packets } = randomCase(seed, { namespacedOnly: true, packets: 4 });
    const world = readWorld(objects);
    for (const packet of packets) {
      const told = allowedByOracle(objects, packet);
      assert.equal(evaluate(world, packet).allowed, told, `seed ${seed}: ${JSON.stringify(packet)}`);
      if (!told) denied++;
    }
  }
  assert.ok(denied > 4000, `${denied} of 40000 were denied`);
});
