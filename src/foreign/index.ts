export { type Finding, judgeFirewalls, sentence } from './findings.ts';
export type { NodeShape } from './flows.ts';
export { changeWords, type OpeningChange, openingWords, planOpenings, withoutOpenings, writeOpenings } from './opening.ts';
export { ipvsLink, judgeOthers, type Traces, tracesOf } from './others.ts';
export { ipsetsNamed } from '../walk/xt-set.ts';
