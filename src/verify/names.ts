import type { Service } from '../kube/types.ts';
import type { Family, IpAddr } from '../net/ip.ts';
import type { Attempt, Check, Finding } from './attempt.ts';
import type { VerifyInput, VerifyLimits } from './input.ts';
import { addressRecord, isThere, type LookupAnswer, lookUp } from './lookup.ts';
import type { Place } from './place.ts';
import { clusterIpsOf, isNamed, readyAddresses, serviceName, slicesOf } from './service-ports.ts';
import type { World } from './world.ts';

export interface NamesOptions {
  input: VerifyInput;
  world: World;
  family: Family;
  limits: VerifyLimits;
  services: readonly Service[];
  note?: string;
}

/** Services by name: from each node, a pod asks the cluster DNS address, and hears the ClusterIP, or of a headless Service its endpoints. */
export function namesChecks({ input, world, family, limits, services, note }: NamesOptions): Check[] {
  if (input.clusterDns.length === 0) return [];
  const attempts = services.filter(isNamed).flatMap((service, i) =>
    [...world.nodes].flatMap(([node, place]): Attempt[] => {
      const pods = world.podsOn(node, family);
      const from = pods[i % pods.length] ?? place;
      const server =
        input.clusterDns.find((address) => address.family === family) ??
        input.clusterDns.find((address) => from.address(address.family));
      const source = server && from.address(server.family);
      if (!from.address(family) || !source || world.policies.denies(source, server, 'dns', 53)) return [];
      const name = `${service.metadata.name}.${service.metadata.namespace ?? 'default'}.svc.${input.clusterDomain}`;
      const run = async (): Promise<Finding> => {
        const answer = await lookUp(from.ns, server, name, family, limits.timeoutMs);
        return judgeName(answer, wantedOf(service, input, family), service, family, {
          whose: (address) => world.whose(address),
          hint: lookAt(from, server, name, family),
        });
      };
      return [{ from: from.text(family), to: `${addressRecord[family]} ${name} at ${server}`, run }];
    }),
  );
  return attempts.length ? [{ id: 'service-name', title: 'Services by name', family, protocol: 'dns', note, attempts }] : [];
}

/** A command to go on with; the netns may be the pod's, where only this works. */
const lookAt = ({ netns }: Place, server: IpAddr, name: string, family: Family): string =>
  `look at: nsenter --net=${netns} dig @${server} ${name} ${addressRecord[family]}`;

function wantedOf(service: Service, { endpointSlices }: VerifyInput, family: Family): IpAddr[] {
  const own = clusterIpsOf(service);
  return own.length > 0
    ? own.filter((address) => address.family === family)
    : readyAddresses(slicesOf(service, endpointSlices), family);
}

interface Words {
  whose(address: IpAddr): string;
  hint: string;
}

/** Exported for tests. */
function judgeName(
  answer: LookupAnswer,
  wanted: readonly IpAddr[],
  service: Service,
  family: Family,
  words: Words,
): Finding {
  const type = addressRecord[family];
  const texts = (addresses: readonly IpAddr[]): string => addresses.map(String).toSorted().join(' ') || `no ${type} record`;
  const expected = texts(wanted);
  const headless = clusterIpsOf(service).length === 0;
  if ('failed' in answer) return { expected, seen: 'no answer', why: `${answer.failed}; ${words.hint}` };
  // A name without records of the type is there all the same; of a headless Service without any endpoint, both are usual.
  if (!isThere(answer) && !(headless && wanted.length === 0 && answer.rcode === 'NXDOMAIN'))
    return { expected, seen: answer.rcode, why: `the name server does not know Service ${serviceName(service)}; ${words.hint}` };
  const extra = answer.addresses.filter((address) => !wanted.some((own) => own.equals(address)));
  const missing = wanted.filter((own) => !answer.addresses.some((address) => own.equals(address)));
  if (extra.length === 0 && (missing.length === 0 || (answer.truncated && answer.addresses.length > 0))) return undefined;
  const why =
    extra.length > 0
      ? `${extra[0]}: ${words.whose(extra[0]!)}, and the API says otherwise`
      : `${missing.length === wanted.length ? 'none' : `${missing.length} of ${wanted.length}`} of the API's addresses in the answer`;
  return {
    expected,
    seen: texts(answer.addresses),
    why: `${missing.length === 0 || extra.length > 0 ? why : whyMissing(missing, wanted)}; ${words.hint}`,
  };
}

const whyMissing = (missing: readonly IpAddr[], wanted: readonly IpAddr[]): string =>
  missing.length === wanted.length
    ? 'the API has an address, the answer none'
    : `${missing.length} of ${wanted.length} addresses are missing`;
