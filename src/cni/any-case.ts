/**
 * An object of a runtime, its keys with a small first letter: containerd writes some with a large one (go-cni has no JSON names for port mappings, bandwidth
 * and DNS), and Go reads either.
 */
export const anyCase = (value: object): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).map(([key, one]) => [key.replace(/^[A-Z]/, (letter) => letter.toLowerCase()), one]));
