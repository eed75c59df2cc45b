export * from './input.ts';
export * from './report.ts';
export { type VerifyOptions, verify } from './verify.ts';
export { gatherPolicies } from './policies.ts';
