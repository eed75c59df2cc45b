import { CniError, cniCode } from '../../cni/errors.ts';
import type { Result } from '../../cni/result.ts';
import type { PodLink, ToldOfPod } from '../../links/index.ts';
import { IpAddr } from '../../net/ip.ts';
import { Prefix } from '../../net/prefix.ts';

/** The answer of CHECK when something is not as it should be. */
export const damaged = (wrong: readonly string[]): CniError =>
  new CniError(cniCode.damaged, wrong.join('; '), "pods are mended by deleting them; what is the node's is mended by itself");

/** What a result says of the pod's end; podnet's own is compared by itself. */
export function toldOf(expected: Result, { ifname }: PodLink): ToldOfPod {
  const own = expected.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  const addresses = expected.ips
    .filter((ip) => ip.interface === own)
    .flatMap(({ address }) => IpAddr.tryParse(address.split('/')[0]!) ?? []);
  return { addresses, destinations: expected.routes.flatMap(({ dst }) => tryPrefix(dst) ?? []) };
}

function tryPrefix(text: string): Prefix | undefined {
  try {
    return Prefix.parse(text);
  } catch {
    return undefined;
  }
}

/** What ADD answered then and what is leased now. */
export function contradictions(expected: Result, { addresses, ifname }: PodLink): string[] {
  const own = expected.interfaces.findIndex(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  if (own < 0) return [`prevResult has no interface ${ifname} with a sandbox`];
  const texts = new Set(
    expected.ips.filter((ip) => ip.interface === own).map(({ address }) => address.slice(0, address.indexOf('/'))),
  );
  return addresses.filter((address) => !texts.has(String(address))).map((address) => `prevResult does not have ${address}`);
}
