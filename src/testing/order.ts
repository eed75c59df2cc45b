/**
 * Test files that take long, the longest first, from `src/`: they start first, so that none of them is left at the end with nothing beside it. The order of the others
 * does not matter. `npm test` ends with the slowest files: that is where to look when this is out of date.
 */
const longest: readonly string[] = [
  'agent/attach/containerd.test.ts',
  'agent/attach/containerd-restart.test.ts',
  'lab/boutique.test.ts',
  'cli/foreground.test.ts',
  'lab/conformance/conformance.test.ts',
  'agent/attach/bandwidth.test.ts',
  'agent/policy/first-packets.test.ts',
  'agent/policy/restart.test.ts',
  'dns/process/keeper.test.ts',
  'controllers/kubectl.test.ts',
  'agent/policy/kill.test.ts',
  'agent/attach/podman.test.ts',
  'agent/attach/containerd-kills.test.ts',
  'agent/foreign.test.ts',
  'agent/policy/policy.test.ts',
  'cli/policy.test.ts',
  'apiserver/kubectl.test.ts',
  'agent/foreign-consent.test.ts',
  'lab/load-balancer.test.ts',
  'lab/policy-recipes.test.ts',
  'lab/network-policy.test.ts',
  'lab/leaks.test.ts',
  'lab/shapes.test.ts',
  'lab/two-labs.test.ts',
  'cli/status.test.ts',
  'agent/attach/kill-storm.test.ts',
  'agent/policy/lost.test.ts',
  'agent/policy/former.test.ts',
];

/** Sorts paths from `src/`: those of `longest` in their order, then the others by name. */
export function inOrder(files: readonly string[]): string[] {
  const rank = (file: string): number => {
    const at = longest.indexOf(file);
    return at < 0 ? longest.length : at;
  };
  return [...files].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}
