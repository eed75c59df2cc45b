import type { ContainerSpec } from '../container.ts';

/** Both ends of a conversation, as the stand-in sees them. */
export interface Ends {
  protocol: string;
  localAddress: string;
  localPort: number;
  clientAddress: string;
  clientPort: number;
}

/** IPv4 on a dual-stack socket comes as `::ffff:10.0.0.1`. */
export const plainAddress = (address: string | undefined): string => (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');

export const endpointText = (address: string, port: number): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

/** What a stand-in tells about itself and about who asks. */
export function whoAmI(spec: ContainerSpec, ends: Ends) {
  return {
    standIn: true,
    namespace: spec.pod.namespace,
    pod: spec.pod.name,
    container: spec.name,
    image: spec.image,
    node: spec.nodeName,
    hostname: spec.hostname,
    podIPs: spec.podIPs,
    protocol: ends.protocol,
    local: { address: ends.localAddress, port: ends.localPort },
    client: { address: ends.clientAddress, port: ends.clientPort },
  };
}

/** One line, for protocols without a shape of their own. Begins with `standInMark`. */
export function whoAmILine(spec: ContainerSpec, ends: Ends): string {
  return (
    `${standInMark} for ${spec.image}: pod ${spec.pod.namespace}/${spec.pod.name} container ${spec.name} node ${spec.nodeName} ` +
    `at ${endpointText(ends.localAddress, ends.localPort)}, you are ${endpointText(ends.clientAddress, ends.clientPort)}`
  );
}

export const standInMark = 'podnet stand-in';

/** The page for people: `key: value` lines. */
export function whoAmIText(spec: ContainerSpec, ends: Ends): string {
  return [
    'This is a podnet stand-in, not the real program of the image.',
    `pod: ${spec.pod.name}`,
    `namespace: ${spec.pod.namespace}`,
    `container: ${spec.name}`,
    `image: ${spec.image}`,
    `node: ${spec.nodeName}`,
    `hostname: ${spec.hostname}`,
    `pod IPs: ${spec.podIPs.join(' ')}`,
    `protocol: ${ends.protocol}`,
    `address: ${endpointText(ends.localAddress, ends.localPort)}`,
    `client: ${endpointText(ends.clientAddress, ends.clientPort)}`,
    '',
  ].join('\n');
}
