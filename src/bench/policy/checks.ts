import type { Check } from '../check.ts';
import type { ChangeRow } from './changes.ts';
import type { TransactionKind } from './policy-node.ts';
import type { TrafficSample } from './traffic.ts';

/** A value that is undefined was not measured, and so not shown. */
function below(name: string, value: number | undefined, limit: number, unit: string, digits: number): Check {
  const text = value === undefined ? 'not measured' : `${value.toFixed(digits)} ${unit}`;
  return { name, value: text, limit: `< ${limit} ${unit}`, ok: value !== undefined && value < limit };
}

const words: Readonly<Partial<Record<TransactionKind, string>>> = {
  mixed: 'connection set-up, random allowed and denied pairs',
  request: 'request and response',
};
const away = (sample: TrafficSample | undefined): number | undefined => sample && (sample.relative.median - 1) * 100;

/** @param most policies: what is to be shown with more was left out */
export function checksOf(traffic: readonly TrafficSample[], changes: readonly ChangeRow[], most: number): Check[] {
  return [...(most >= 10_000 ? trafficChecks(traffic) : []), ...(most >= 1000 ? changeChecks(changes) : [])];
}

/** The null test is two nodes with a policy that selects none of the pods: what the measurement itself cannot tell apart. */
function trafficChecks(traffic: readonly TrafficSample[]): Check[] {
  const families = ['IPv4', 'IPv6'].flatMap((series) => (['mixed', 'request'] as const).map((kind) => ({ series, kind })));
  return families.flatMap(({ series, kind }) => {
    const ofIt = traffic.filter((one) => one.series === series && one.kind === kind);
    const many = ofIt.find((one) => one.policies === 10_000 && one.isPodnet);
    const off = away(ofIt.find((one) => one.isNull));
    return [
      below(`${series}: CPU above that with no policy that selects, 10,000 policies: ${words[kind]}`, away(many), 5, '%', 2),
      below(`${series}: null test, no policy that selects: ${words[kind]}`, off === undefined ? undefined : Math.abs(off), 3, '%', 2),
    ];
  });
}

/** The longest of all that were measured. */
function changeChecks(changes: readonly ChangeRow[]): Check[] {
  const of = (kind: ChangeRow['kind']): ChangeRow | undefined => changes.find((row) => row.kind === kind);
  const size = '10,000 pods, 1,000 policies';
  return [
    below(`a pod's label, ${size}: event to kernel, the longest`, of('pod-label')?.kernelMs.most, 100, 'ms', 1),
    below(`a pod's label, ${size}: event to packets, the longest`, of('pod-label')?.packetsMs.most, 100, 'ms', 1),
    below(`a namespace's label that moves 10,000 pods, 1,000 policies: event to kernel, the longest`, of('namespace-label')?.kernelMs.most, 1000, 'ms', 0),
    below(`a namespace's label that moves 10,000 pods, 1,000 policies: event to packets, the longest`, of('namespace-label')?.packetsMs.most, 1000, 'ms', 0),
  ];
}
