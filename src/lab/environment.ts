/** Of whoever starts a lab; the rest, keys and proxies among it, is none of its processes' business. */
const passedOn = ['PATH', 'TZ', 'NODE_OPTIONS', 'NODE_DEBUG'];

/** The variable by which every process of a lab is known, whoever started it. */
export const labMarker = (lab: string): string => `PODNET_LAB=${lab}`;

/**
 * The environment of a lab's processes. That it is small also makes them start sooner: with NODE_EXTRA_CA_CERTS every one of them would read all
 * of the machine's CAs first, and none needs more than the lab's own.
 */
export function labEnvironment(lab: string, env: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const kept = passedOn.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]));
  return { ...Object.fromEntries(kept), PODNET_LAB: lab };
}
