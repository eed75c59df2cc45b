import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KernelError } from '../kernel/errors.ts';
import { RtNetlink } from '../kernel/rtnetlink/rtnetlink.ts';
import { needsRoot } from '../testing/root.ts';
import { EnvironmentError } from './errors.ts';
import { checkMachine } from './preflight.ts';

/** A kernel that was built without a kind of link: `ip link add type vxlan` is answered just so. */
const kernelWithout =
  (kind: string): Parameters<typeof checkMachine>[1] =>
  (ns) => {
    const rt = RtNetlink.open(ns);
    return {
      addLink: (link) => {
        if (link.type === kind) throw new KernelError(`add link ${link.name}`, 'EOPNOTSUPP', { extack: 'Unknown device type' });
        return rt.addLink(link);
      },
      [Symbol.dispose]: () => rt[Symbol.dispose](),
    };
  };

for (const [kind, message, fix] of [
  [
    'vxlan',
    /^this kernel gives no VXLAN: add link x0: EOPNOTSUPP: Unknown device type$/,
    /CONFIG_VXLAN \(modprobe vxlan\), or use --backend direct/,
  ],
  ['veth', /^this kernel gives no veth links: /, /CONFIG_VETH \(modprobe veth\)/],
  ['bridge', /^this kernel gives no bridges: /, /CONFIG_BRIDGE \(modprobe bridge\)/],
] as const)
  test(`a kernel without ${kind} is told in one sentence with the fix`, needsRoot, () => {
    assert.throws(
      () => checkMachine(true, kernelWithout(kind)),
      (error: unknown) => error instanceof EnvironmentError && message.test(error.message) && fix.test(error.fix),
    );
  });

test('a lab that needs no VXLAN comes up on a kernel without it', needsRoot, () => {
  assert.match(checkMachine(false, kernelWithout('vxlan')).kernel, /^\d+\./);
});
