import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSettings } from './settings.ts';
import { agentConfig } from './testkit/config.ts';

const whole = agentConfig();

test('a configuration is parsed to addresses and prefixes, in both families', () => {
  const settings = parseSettings(whole);
  assert.deepEqual([settings.clusterCidrs, settings.serviceCidrs, settings.clusterDns, settings.nonMasqueradeCidrs].map(String), [
    '10.1.0.0/16,fd01::/48',
    '10.96.0.0/16,fd96::/112',
    '10.96.0.10,fd96::a',
    '',
  ]);
  assert.equal('kubeconfig' in settings, false, 'in a pod the service account tells it');
  assert.deepEqual(parseSettings({ ...whole, nonMasqueradeCidrs: undefined }).nonMasqueradeCidrs, []);
});

test('addresses of load balancers are announced only where that is asked for: a cluster may have its own way', () => {
  assert.equal(parseSettings(whole).announceLoadBalancers, false);
  assert.equal(parseSettings({ ...whole, announceLoadBalancers: true }).announceLoadBalancers, true);
});

test('agents say on policies what is not understood, unless somebody else does', () => {
  assert.equal(parseSettings(whole).policyStatus, true);
  assert.equal(parseSettings({ ...whole, policyStatus: false }).policyStatus, false);
});

test('a firewall of others is only reported, unless there is consent to add rules where it asks for them', () => {
  assert.equal(parseSettings(whole).foreignFirewall, 'report');
  assert.equal(parseSettings({ ...whole, foreignFirewall: 'allow' }).foreignFirewall, 'allow');
});

test('the bits of the conntrack mark that policies use can be chosen', () => {
  assert.equal(parseSettings(whole).connmarkMask, 0xffffff00);
  assert.equal(parseSettings({ ...whole, connmarkMask: '0x0FFFF0' }).connmarkMask, 0xffff0);
  assert.equal(parseSettings({ ...whole, connmarkMask: '0xffffffff' }).connmarkMask, 0xffffffff);
});

const wrong: readonly (readonly [change: Record<string, unknown>, message: string])[] = [
  [{ nodeName: '' }, 'nodeName is "": expected a text'],
  [{ nodename: 'x' }, 'unknown field "nodename"; known are nodeName, kubeconfig'],
  [{ families: [] }, 'families is []: expected ipv4, ipv6 or both, each once, the primary first'],
  [{ families: ['ipv4', 'ipv4'] }, 'families is ["ipv4","ipv4"]: expected ipv4, ipv6 or both'],
  [{ families: ['ipv5'] }, 'families is "ipv5": expected ipv4 or ipv6'],
  [{ foreignFirewall: true }, 'foreignFirewall is true: expected report or allow'],
  [{ attach: 'macvlan' }, 'attach is "macvlan": expected routed or bridge'],
  [{ backend: undefined }, 'backend is missing: expected auto or direct or vxlan'],
  [{ vxlan: { id: 1 << 24, port: 4789 } }, 'vxlan.id is 16777216: expected a whole number from 1 to 16777215'],
  [{ vxlan: { id: 1, port: '4789' } }, 'vxlan.port is "4789": expected a whole number from 1 to 65535'],
  [{ vxlan: { id: 1, port: 4789, ttl: 1 } }, 'unknown field "vxlan.ttl"; known are id, port'],
  [{ clusterCidrs: '10.0.0.0/8' }, 'clusterCidrs is "10.0.0.0/8": expected a list of texts'],
  [{ serviceCidrs: [1] }, 'serviceCidrs[0] is 1: expected a text'],
  [{ serviceCidrs: ['10.96.0.1/16'] }, 'serviceCidrs[0]: '],
  [{ clusterDns: ['dns'] }, 'clusterDns[0]: '],
  [{ stateDir: 'state' }, 'stateDir is "state": expected an absolute path'],
  [{ cni: null }, 'cni is null: expected an object'],
  [{ cni: { ...whole.cni, waitForDeletion: 'yes' } }, 'cni.waitForDeletion is "yes": expected true or false'],
  [{ services: { conntrackLimits: 1 } }, 'services.conntrackLimits is 1: expected true or false'],
  [{ connmarkMask: 0xff00 }, 'connmarkMask is 65280: expected a mask as hexadecimal text, at least 16 bits one beside'],
  [{ connmarkMask: '0x7fff00' }, 'connmarkMask is "0x7fff00": expected a mask'],
  [{ connmarkMask: '0xffff00ff' }, 'connmarkMask is "0xffff00ff": expected a mask'],
  [{ connmarkMask: '0x1ffffff00' }, 'connmarkMask is "0x1ffffff00": expected a mask'],
  [{ policyStatus: 'yes' }, 'policyStatus is "yes": expected true or false'],
  [{ announceLoadBalancers: 'yes' }, 'announceLoadBalancers is "yes": expected true or false'],
  [{ statusSocket: `/${'x'.repeat(107)}` }, "expected a path of at most 107 bytes, since it is a unix socket's"],
];

for (const [change, message] of wrong)
  test(`a configuration with ${JSON.stringify(change).slice(0, 60)} is refused with the field, the value and what is expected`, () => {
    assert.throws(
      () => parseSettings({ ...whole, ...change }),
      (error: unknown) =>
        error instanceof SyntaxError && error.message.startsWith('agent configuration: ') && error.message.includes(message),
      message,
    );
  });

test('what is no object is refused', () => {
  for (const input of [undefined, null, [], 'text', 7])
    assert.throws(() => parseSettings(input), /the configuration is .*: expected an object/);
});
