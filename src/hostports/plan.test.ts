import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Family, IpAddr } from '../net/ip.ts';
import { keyOf } from '../reconcile/model.ts';
import {
  collide,
  formatMappings,
  isStaleAfterAdd,
  isStaleAfterDelete,
  mappingsIn,
  parseMappings,
  planHostPorts,
  planMappings,
} from './index.ts';

const at = IpAddr.parse;
const pod = ['10.1.0.2', 'fd01::2'].map(at);
const elements = (text: string, addresses = pod): string[] =>
  planMappings(parseMappings(text), addresses)
    .map(({ set, key, data }) => (data === undefined ? `${set} ${key}` : `${set} ${key} : ${data}`))
    .filter((line) => !/^hostports-(to|hairpin|tcp|udp|sctp)/.test(line));

const sets = (family: Family) => {
  const of = (name: string): string => `${name}-${family}`;
  return {
    serviceCidrs: of('cidrs'),
    nodePortAddresses: of('nodes'),
    refusedNodePorts: of('refused'),
    refusedExternals: of('outer'),
  };
};
const node = { addresses: ['192.0.2.1', '2001:db8::1'].map(at), services: { ipv4: sets('ipv4'), ipv6: sets('ipv6') } };

test('CRI10: without a hostIP a mapping is for all addresses of every family that the pod has, with one for that alone', () => {
  assert.deepEqual(elements('8080:80/tcp'), ['hostports4 tcp . 8080 : 10.1.0.2 . 80', 'hostports6 tcp . 8080 : fd01::2 . 80']);
  assert.deepEqual(elements('8080:80/tcp', [at('10.1.0.2')]), ['hostports4 tcp . 8080 : 10.1.0.2 . 80']);
  assert.deepEqual(elements('0.0.0.0:53:53/udp'), ['hostports4 udp . 53 : 10.1.0.2 . 53']);
  assert.deepEqual(elements('[::]:53:53/udp'), ['hostports6 udp . 53 : fd01::2 . 53']);
  assert.deepEqual(elements('192.0.2.1:9:7/sctp'), ['hostports-at4 192.0.2.1 . sctp . 9 : 10.1.0.2 . 7']);
  assert.deepEqual(elements('[2001:db8::1]:9:7/sctp,9:8/sctp', [at('fd01::2')]), [
    'hostports-at6 2001:db8::1 . sctp . 9 : fd01::2 . 7',
    'hostports6 sctp . 9 : fd01::2 . 8',
  ]);
});

test('a mapping costs two elements for each family and one for its number, and a pod one for each address', () => {
  const items = planMappings(parseMappings('1:1/tcp,2:2/tcp,3:3/udp'), pod);
  assert.equal(items.length, 2 * 3 * 2 + 3 + 2);
  assert.equal(new Set(items.map(keyOf)).size, items.length);
});

test('what a lease keeps is read as it was written', () => {
  for (const text of ['', '8080:80/tcp', '192.0.2.1:8080:80/udp,[2001:db8::1]:53:53/sctp,[::]:1:2/tcp'])
    assert.equal(formatMappings(parseMappings(text)), text);
  for (const text of ['x', '80/tcp', '1:2/icmp', '[1:2]:3/tcp', '1:2/tcp,'])
    assert.throws(() => parseMappings(text), SyntaxError);
});

test("F23: what a node holds for a pod tells its mappings, and nobody else's", () => {
  const mappings = parseMappings('8080:80/tcp,192.0.2.1:8080:81/tcp,[::]:53:5353/udp');
  const others = planMappings(parseMappings('9090:80/tcp'), ['10.1.0.3', 'fd01::3'].map(at));
  const found = mappingsIn([...others, ...planMappings(mappings, pod)], pod);
  assert.equal(formatMappings(found), '0.0.0.0:8080:80/tcp,192.0.2.1:8080:81/tcp,[::]:8080:80/tcp,[::]:53:5353/udp');
  assert.deepEqual(planMappings(found, pod).map(keyOf).sort(), planMappings(mappings, pod).map(keyOf).sort());
});

test('two pods collide as kube-scheduler has it: protocol and port, and one address or all of them', () => {
  const cases: [string, string, boolean][] = [
    ['80:1/tcp', '80:2/tcp', true],
    ['80:1/tcp', '81:1/tcp', false],
    ['80:1/tcp', '80:1/udp', false],
    ['192.0.2.1:80:1/tcp', '192.0.2.1:80:1/tcp', true],
    ['192.0.2.1:80:1/tcp', '192.0.2.3:80:1/tcp', false],
    ['192.0.2.1:80:1/tcp', '80:1/tcp', true],
    ['192.0.2.1:80:1/tcp', '0.0.0.0:80:1/tcp', true],
    ['192.0.2.1:80:1/tcp', '[::]:80:1/tcp', false],
    ['0.0.0.0:80:1/tcp', '[::]:80:1/tcp', false],
    ['[::]:80:1/tcp', '80:1/tcp', true],
  ];
  for (const [a, b, expected] of cases) {
    const [one, other] = [parseMappings(a)[0]!, parseMappings(b)[0]!];
    assert.deepEqual(
      [collide(one, other, ['ipv4', 'ipv6']), collide(other, one, ['ipv4', 'ipv6'])],
      [expected, expected],
      `${a} ${b}`,
    );
  }
  const [v6, all] = [parseMappings('[::]:80:1/tcp')[0]!, parseMappings('80:1/tcp')[0]!];
  assert.equal(collide(v6, all, ['ipv4']), false, 'in a family that one of them has not');
});

test('UDP entries that a change of mappings makes stale are those of its ports, and no others', () => {
  const mappings = parseMappings('192.0.2.1:53:5353/udp,80:80/tcp');
  const isLocal = (address: IpAddr): boolean => String(address).startsWith('192.0.2.');
  const entry = (destination: string, destinationPort: number, replySource = destination, replySourcePort = destinationPort) => ({
    ...{ destination: at(destination), destinationPort, replySource: at(replySource), replySourcePort },
  });
  const added = (...of: Parameters<typeof entry>): boolean => isStaleAfterAdd(entry(...of), mappings, isLocal);
  assert.equal(added('192.0.2.1', 53), true);
  assert.equal(added('192.0.2.9', 53), false, 'another address of the node');
  assert.equal(added('8.8.8.8', 53), false, 'passes through');
  assert.equal(added('192.0.2.1', 80), false, 'TCP is mapped');
  assert.equal(added('192.0.2.1', 53, '10.1.0.9', 53), false, "a Service's");
  const deleted = (...of: Parameters<typeof entry>): boolean => isStaleAfterDelete(entry(...of), mappings, pod);
  assert.equal(deleted('192.0.2.1', 53, '10.1.0.2', 5353), true);
  assert.equal(deleted('192.0.2.1', 53, '10.1.0.3', 5353), false);
  assert.equal(deleted('10.96.0.10', 53, '10.1.0.2', 5354), false);
});

test('T13 (CVE-2019-9946): chains are the same for any pods, look at local addresses only, and come after Services', () => {
  const items = planHostPorts(node);
  const keys = new Set(items.map(keyOf));
  const foreign = new Set(Object.values(node.services).flatMap((names) => Object.values(names)));
  for (const item of items) {
    if (item.kind !== 'nft-chain') continue;
    for (const { expressions } of item.rules)
      for (const expression of expressions) {
        if (expression.name === 'lookup')
          assert.ok(keys.has(`nft-set ${expression.set}`) || foreign.delete(expression.set!) || /-ipv/.test(expression.set!));
        const target = expression.name === 'immediate' ? /^(?:goto|jump) (.*)$/.exec(expression.data ?? '')?.[1] : undefined;
        if (target !== undefined) assert.ok(keys.has(`nft-chain ${target}`), target);
      }
    const { hook, rules } = item;
    if (hook?.hook === 'prerouting' || hook?.hook === 'output') {
      assert.ok(hook.priority > -100, 'after the Services');
      assert.deepEqual(
        rules.map(({ text }) => text),
        ['fib daddr type local jump hostports'],
      );
    }
  }
  assert.deepEqual([...foreign], [], 'every set of the Services is asked');
});
