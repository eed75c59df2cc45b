export { type Cluster, clusterAfter, clusterOf } from './cluster.ts';
export type { ElementChange } from './elements.ts';
export { type NodeSetting, type Prediction, predict } from './predict.ts';
export type { ServiceChange, WayChange } from './services.ts';
export { nodeSettings } from './settings.ts';
