import dgram from 'node:dgram';
import { setTimeout as sleep } from 'node:timers/promises';
import { bindUdp } from '../kernel/sockets.ts';
import { type Family, IpAddr } from '../net/ip.ts';
import type { Attempt, Check, Finding } from './attempt.ts';
import type { Place } from './place.ts';
import { watchFor } from './station.ts';
import type { World } from './world.ts';

/** What does not come in this time never does; packets to the same place need a hundredth of it. */
const silenceMs = 150;

/** Addresses for documentation (RFC 5737, RFC 3849): nobody's. */
const nobodys = { ipv4: IpAddr.parse('203.0.113.77'), ipv6: IpAddr.parse('2001:db8:bad::77') } as const;

/** T1: what a pod sends with the address of another pod, of its node or of nobody goes nowhere; from each pod to a node that its own packets reach. */
export function forgedChecks(world: World, family: Family): Check[] {
  const pods = world.pods.filter(({ place }) => place.stations[family]);
  const nodes = [...world.nodes.values()].filter((place) => place.stations[family]);
  const attempts = pods.flatMap(({ place: from, node }, i): Attempt[] => {
    const own = world.nodes.get(node);
    const to = nodes.find((place) => place !== own) ?? own;
    if (!to?.stations[family]) return [];
    const others = [pods[(i + 1) % pods.length]!.place, own].filter((place) => place !== from && place !== to);
    const sources = [...others.flatMap((place) => place?.address(family) ?? []), nobodys[family]];
    return [{ from: from.text(family), to: to.text(family), run: () => forge(from, to, sources, family) }];
  });
  if (attempts.length === 0) return [];
  return [{ id: 'forged', title: 'forged source is dropped', family, protocol: 'udp', waits: true, untimed: true, attempts }];
}

async function forge(from: Place, to: Place, sources: readonly IpAddr[], family: Family): Promise<Finding> {
  const questions = sources.map((source) => ({ source, ...watchFor() }));
  try {
    for (const { source, data } of questions) await sendFrom(from, source, data, to, family);
    await sleep(silenceMs);
    const came = questions.filter(({ arrived }) => arrived() !== undefined).map(({ source }) => String(source));
    if (came.length === 0) return undefined;
    const why = 'the node lets its pods send with addresses that are not theirs';
    return { expected: 'nothing', seen: `what ${from.label} sent as ${came.join(' and ')}`, why };
  } finally {
    for (const { end } of questions) end();
  }
}

/** As whoever has CAP_NET_ADMIN in the pod's namespace could. */
async function sendFrom(from: Place, source: IpAddr, data: Buffer, to: Place, family: Family): Promise<void> {
  const socket = dgram.createSocket(family === 'ipv4' ? 'udp4' : 'udp6');
  try {
    socket.bind({ fd: bindUdp(from.ns, source, 0, { transparent: true }), exclusive: true });
    const { address, udpPort } = to.stations[family]!;
    await new Promise<void>((resolve, reject) =>
      socket.send(data, udpPort, String(address), (error) => (error ? reject(error) : resolve())),
    );
  } finally {
    socket.close();
  }
}
