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
  for (const source of from)
    for (const target of to) {
      if (source.pod && source.pod === target.pod && (from.length > 1 || to.length > 1) && target.viaService === undefined)
        continue;
      for (const address of source.addresses)
        for (const destination of target.addresses.filter(({ family }) => family === address.family)) {
          const { port, viaService } = target;
          const verdict = evaluate(world, {
            ...{ source: address, destination, protocol },
            ...(port === undefined ? {} : { port }),
            ...(viaService === undefined ? {} : { viaService: true }),
          });
          const same = answers.find(
            (answer) => answer.from === source && sameTarget(answer.to, target) && sameReason(answer.verdict, verdict),
          );
          if (!same) answers.push({ from: source, to: target, families: [address.family], verdict });
          else if (!same.families.includes(address.family))
            answers[answers.indexOf(same)] = { ...same, families: [...same.families, address.family] };
        }
    }
  return answers;
}

const sameTarget = (a: Target, b: Target): boolean => a === b || (a.label === b.label && a.port === b.port);

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
