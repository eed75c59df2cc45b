import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { ip } from '../../testing/judge.ts';
import type { CniAnswer } from './cni.ts';
import { eventually, type TestNode } from './node.ts';

/** Every version of the specification that is served. */
export const versions = ['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
/** Files of leases. */
export const leases = (node: TestNode): string[] => readdirSync(node.config.stateDir).filter((name) => name.endsWith('.json'));
export const podLinks = (node: TestNode): string[] =>
  ip<{ ifname: string }>(node.ns.path, 'link')
    .map(({ ifname }) => ifname)
    .filter((name) => /^pod[0-9a-f]{8}$/.test(name));

/** What DEL, CHECK, STATUS and GC answer when all is well. */
export const ok: CniAnswer = { code: 0, json: {} };

/** Exit code 1, and an error as CNI2 has it. @returns its text */
export function failed({ code, json }: CniAnswer, expected: number, what: string): string {
  assert.deepEqual([code, json.code], [1, expected], `${what}: ${JSON.stringify(json)}`);
  assert.equal(typeof json.cniVersion, 'string', what);
  assert.ok(typeof json.msg === 'string' && json.msg !== '', what);
  assert.ok(json.details === undefined || typeof json.details === 'string', what);
  return String(json.msg);
}

/** No link, lease or route of a pod. */
export async function nothingIsLeft(node: TestNode): Promise<void> {
  await eventually(() => assert.deepEqual(podLinks(node), []));
  assert.deepEqual(leases(node), []);
  assert.equal(ip(node.ns.path, 'route', 'show', 'root', '10.1.0.0/24', 'type', 'unicast').length, 0);
}
