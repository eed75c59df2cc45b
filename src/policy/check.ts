import type { Family } from '../net/ip.ts';
import type { Named, Target } from './ask.ts';
import { evaluate } from './evaluate.ts';
import type { PacketProtocol } from './packet.ts';
import type { Verdict } from './verdict.ts';
import type { World } from './world.ts';

/** One connection that was asked for, and what became of it; families with the same verdict for the same reasons stand together. */
export interface Answer {
  from: Named;
  to: Target;
  families: readonly Family[];
  verdict: Verdict;
}

/** Every pair of addresses of one family that the ends stand for, but none of a pod with itself unless that alone was asked. */
export function check(world: World, from: readonly Named[], to: readonly Target[], protocol: PacketProtocol): Answer[] {
  const answers: Answer[] = [];
  for (const source of from) {
    // Places of answers about a target: behind a Service each address of a pod is one by itself.
    const places = new Map<string, number[]>();
    for (const target of to) {
      if (source.pod && source.pod === target.pod && (from.length > 1 || to.length > 1) && target.viaService === undefined)
        continue;
      const name = `${target.port} ${target.label}`;
      const about = places.get(name) ?? [];
      places.set(name, about);
      for (const address of source.addresses)
        for (const destination of target.addresses.filter(({ family }) => family === address.family)) {
          const { port, viaService } = target;
          const verdict = evaluate(world, {
            ...{ source: address, destination, protocol },
            ...(port === undefined ? {} : { port }),
            ...(viaService === undefined ? {} : { viaService: true }),
          });
          const place = about.find((one) => sameReason(answers[one]!.verdict, verdict));
          if (place === undefined) about.push(answers.push({ from: source, to: target, families: [address.family], verdict }) - 1);
          else if (!answers[place]!.families.includes(address.family))
            answers[place] = { ...answers[place]!, families: [...answers[place]!.families, address.family] };
        }
    }
  }
  return answers;
}

/** Rules and policies are the same objects where reasons are the same. */
function sameReason(a: Verdict, b: Verdict): boolean {
  return (['egress', 'ingress'] as const).every((direction) => {
    const [one, other] = [a[direction].reason, b[direction].reason];
    if (one.code !== other.code) return false;
    return (
      one.code !== 'rule' ||
      other.code !== 'rule' ||
      (one.rule === other.rule && one.peer === other.peer && one.port === other.port)
    );
  });
}
