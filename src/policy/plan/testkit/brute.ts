import type { Family, IpAddr } from '../../../net/ip.ts';
import type { Item } from '../../../reconcile/model.ts';
import { evaluate, policiesOf } from '../../evaluate.ts';
import { type Direction, directions, portProtocols } from '../../model.ts';
import type { Packet, PacketProtocol } from '../../packet.ts';
import { hasIdentity, type PolicyPod, type World } from '../../world.ts';
import {
  allowed,
  classBits,
  classValue,
  defaultSet,
  denied,
  policySet,
  portsSet,
  protocolNames,
  rangesSet,
  rowsSet,
  valueText,
} from '../elements/names.ts';

/**
 * Elements for one node, made by asking the specification for each address and each port: no cleverness that could be wrong, and far too many for a cluster. What
 * chains make of them must be what the specification says, whatever a planner does.
 * @param remotes every address that packets have
 * @param ports every port that some policy tells from its neighbours
 * @param nobody an address of each family that is in no policy's narrower networks and nobody's
 */
export function bruteElements(
  world: World,
  node: string,
  remotes: readonly IpAddr[],
  ports: readonly number[],
  nobody: Record<Family, IpAddr>,
): Item[] {
  const items: Item[] = [];
  const add = (set: string, key: string, data: string): unknown => items.push({ kind: 'nft-element', set, key, data });
  const identities = new Map(remotes.map((address, i) => [String(address), valueText(i + 1)]));
  for (const address of remotes) add(policySet('policy-ids', address.family), `${address}`, identities.get(`${address}`)!);

  let classes = 0;
  /** A class with its elements: what `allows` says of each protocol and port. */
  const classOf = (allows: (protocol: PacketProtocol, port?: number) => boolean): string => {
    const others = portProtocols.map((protocol) => ({ protocol, may: allows(protocol, 7777) }));
    const listed = portProtocols.flatMap((protocol) => ports.map((port) => ({ protocol, port, may: allows(protocol, port) })));
    const portless = allows('ICMP');
    const alike = [...others, ...listed].every(({ may }) => may === portless);
    if (alike) return valueText(portless ? allowed : denied);
    const value = valueText(classValue(++classes, classBits.hasRanges | (portless ? classBits.portless : 0)));
    const verdict = (may: boolean): string => valueText(may ? allowed : denied);
    for (const { protocol, port, may } of listed) add(portsSet, `${value} . ${protocolNames[protocol]} . ${port}`, verdict(may));
    for (const { protocol, may } of others) add(rangesSet, `${value} . ${protocolNames[protocol]} . 0-65535`, verdict(may));
    return value;
  };
  const asked =
    (pod: IpAddr, remote: IpAddr, direction: Direction, more: Partial<Packet> = {}) =>
    (protocol: PacketProtocol, port?: number) => {
      const [source, destination] = direction === 'egress' ? [pod, remote] : [remote, pod];
      const verdict = evaluate(world, { source, destination, protocol, ...(port === undefined ? {} : { port }), ...more });
      return more.viaService ? verdict.allowed : verdict[direction].allowed;
    };
  const isLocal = (pod: PolicyPod): boolean => pod.node === node && hasIdentity(pod);
  for (const pod of world.pods.filter(isLocal)) {
    for (const address of pod.addresses.filter((one) => world.podAt.get(`${one}`) === pod)) {
      const spoken = directions.filter((direction) => policiesOf(world, pod, direction).length > 0);
      for (const direction of spoken) {
        add(defaultSet(direction, address.family), `${address}`, classOf(asked(address, nobody[address.family], direction)));
        // What the own node sends is let in without being asked for: no row says so.
        const isOwn = (remote: IpAddr): boolean => direction === 'ingress' && world.nodeAt.get(`${remote}`)?.name === node;
        for (const remote of remotes.filter((one) => one.family === address.family && !isOwn(one)))
          add(
            rowsSet(direction, address.family),
            `${identities.get(`${remote}`)} . ${address}`,
            classOf(asked(address, remote, direction)),
          );
      }
      if (spoken.length === 0) continue;
      for (const other of pod.addresses.filter(({ family }) => family === address.family))
        add(
          policySet('policy-selves', address.family),
          `${address} . ${other}`,
          classOf(asked(address, other, 'egress', { viaService: true })),
        );
    }
  }
  return items;
}
