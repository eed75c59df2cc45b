import type { Container, Pod } from '../../kube/types.ts';

/** As the capability `portMappings` has it (CNI conventions). */
export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  hostIP: string;
}

/** Sidecars run beside the containers. */
const running = ({ containers, initContainers = [] }: NonNullable<Pod['spec']>): Container[] => [
  ...containers,
  ...initContainers.filter(({ restartPolicy }) => restartPolicy === 'Always'),
];

/** The pod's host ports, as kubelet tells them to the runtime and containerd to the plugin: those without a number are left out. */
export const portMappingsOf = ({ spec }: Pod): PortMapping[] =>
  (spec ? running(spec) : []).flatMap(({ ports = [] }) =>
    ports.flatMap(({ hostPort, containerPort, protocol = 'TCP', hostIP = '' }) =>
      hostPort ? [{ hostPort, containerPort, protocol: protocol.toLowerCase() as PortMapping['protocol'], hostIP }] : [],
    ),
  );
