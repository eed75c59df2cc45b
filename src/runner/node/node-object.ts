import { readFileSync } from 'node:fs';
import * as os from 'node:os';
import { kubeTime } from '../../kube/objects.ts';
import type { Node, NodeCondition, NodeStatus } from '../../kube/types.ts';
import { kubernetesVersion } from '../../kube/version.ts';
import type { RunnerConfig } from '../config.ts';

const architectures: Record<string, string> = { x64: 'amd64', arm64: 'arm64' };

/** What a lab node offers: the machine's own size, since its pods share it. */
export const capacityOf = (maxPods: number): Record<string, string> => ({
  cpu: String(os.availableParallelism()),
  memory: `${Math.floor(os.totalmem() / 1024)}Ki`,
  'ephemeral-storage': '100Gi',
  pods: String(maxPods),
});

/** @param fault why the network is not ready */
function conditionsOf(fault: string | undefined, nowMs: number): NodeCondition[] {
  const now = kubeTime(nowMs);
  const condition = (type: string, status: string, reason: string, message: string): NodeCondition => ({
    ...{ type, status, reason, message },
    lastHeartbeatTime: now,
    lastTransitionTime: now,
  });
  return [
    condition('MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
    condition('DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    condition('PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    fault === undefined
      ? condition('Ready', 'True', 'KubeletReady', 'kubelet is posting ready status')
      : condition(
          ...(['Ready', 'False', 'KubeletNotReady'] as const),
          `container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: ${fault}`,
        ),
  ];
}

export function statusOf(config: RunnerConfig, fault: string | undefined, nowMs: number): NodeStatus {
  const capacity = capacityOf(config.maxPods);
  return {
    addresses: [
      ...config.addresses.map((address) => ({ type: 'InternalIP', address })),
      { type: 'Hostname', address: config.nodeName },
    ],
    capacity,
    allocatable: capacity,
    conditions: conditionsOf(fault, nowMs),
    nodeInfo: {
      architecture: architectures[process.arch] ?? process.arch,
      bootID: read('/proc/sys/kernel/random/boot_id'),
      containerRuntimeVersion: 'podnet://0.1.0',
      kernelVersion: os.release(),
      kubeProxyVersion: '',
      kubeletVersion: kubernetesVersion.full,
      machineID: read('/etc/machine-id'),
      operatingSystem: 'linux',
      osImage: /PRETTY_NAME="(.*)"/.exec(read('/etc/os-release'))?.[1] ?? 'Linux',
      systemUUID: read('/etc/machine-id'),
    },
  };
}

export const nodeObject = (config: RunnerConfig, fault: string | undefined, nowMs: number): Node => ({
  metadata: {
    name: config.nodeName,
    labels: {
      'kubernetes.io/hostname': config.nodeName,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': architectures[process.arch] ?? process.arch,
      ...config.labels,
    },
  },
  spec: {},
  status: statusOf(config, fault, nowMs),
});

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
