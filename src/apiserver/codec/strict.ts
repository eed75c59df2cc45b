/** What a request wants done with fields that its kind does not have, or has twice. */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

/** The findings as Kubernetes words them, duplicates last. */
export const findings = (unknown: readonly string[], duplicates: readonly string[]): string[] => [
  ...unknown.map((path) => `unknown field "${path}"`),
  ...duplicates.map((path) => `duplicate field "${path}"`),
];

export const strictError = (found: readonly string[]): string => `strict decoding error: ${found.join(', ')}`;
