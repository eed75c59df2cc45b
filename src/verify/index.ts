export { type ClusterFacts, gather, type Places } from './gather.ts';
export * from './input.ts';
export * from './report.ts';
export { type VerifyOptions, verify } from './verify.ts';
export { gatherPolicies } from './policies.ts';
