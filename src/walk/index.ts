export type { Ends, LinkView, Packet } from './packet.ts';
export { freshState } from './state.ts';
export { tableOf } from './table.ts';
export { follow, type Hooks, hooksOf, type Place } from './walk.ts';
