export type { Ends, LinkView, Packet } from './packet.ts';
export { freshState, type State } from './state.ts';
export { type PlannedTable, tableOf } from './table.ts';
export { follow, type Hit, type Hooks, hooksOf, type Passage, type Place, type Step, type Way, walk } from './walk.ts';
