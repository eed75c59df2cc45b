export { type Finding, judgeFirewalls, placeWords, sentence } from './findings.ts';
export { type Flow, flowsOf, type NodeShape } from './flows.ts';
export {
  changeWords,
  type Opening,
  type OpeningChange,
  openingWords,
  planOpenings,
  withoutOpenings,
  writeOpenings,
} from './opening.ts';
export { ipvsLink, judgeOthers, type Surroundings, type Traces, tracesOf } from './others.ts';
export type { LinkView, Packet } from '../walk/packet.ts';
export { type Hit, hooksOf, type Place, type Step, type Way, walk } from '../walk/walk.ts';
export { ruleWords } from './words.ts';
export { ipsetsNamed } from '../walk/xt-set.ts';
