import { NetNs } from '../../kernel/netns.ts';
import { RtNetlink } from '../../kernel/rtnetlink/rtnetlink.ts';
import { writeSysctl } from '../../kernel/sysctl.ts';
import type { Pod } from '../../kube/types.ts';
import type { PodRecord } from '../state.ts';
import { bandwidthOf } from './bandwidth.ts';
import type { Cni, CniTarget } from './cni.ts';
import { portMappingsOf } from './port-mappings.ts';

/** As containerd sets them, so that containers without privileges may listen below 1024 and ping. */
const defaults: readonly (readonly [string, string])[] = [
  ['net.ipv4.ip_unprivileged_port_start', '0'],
  ['net.ipv4.ping_group_range', '0 2147483647'],
];

const targetOf = ({ sandboxId, netns, namespace, name, uid, portMappings, bandwidth }: PodRecord): CniTarget => ({
  containerId: sandboxId,
  netns,
  pod: { namespace, name, uid },
  ...(portMappings ? { portMappings } : {}),
  ...(bandwidth ? { bandwidth } : {}),
});

/** Makes the pod's network namespace and attaches it. Leaves nothing behind when it fails. @returns what is known of it from now on */
export async function createSandbox(
  record: PodRecord,
  pod: Pod,
  cni: Cni,
): Promise<Pick<PodRecord, 'podIPs' | 'cniResult' | 'portMappings' | 'bandwidth'>> {
  const ports = portMappingsOf(pod);
  const bandwidth = bandwidthOf(pod);
  const asked = { ...(ports.length > 0 ? { portMappings: ports } : {}), ...(bandwidth ? { bandwidth } : {}) };
  const target = { ...targetOf({ ...record, ...asked }), annotations: pod.metadata?.annotations ?? {} };
  try {
    using ns = NetNs.create(record.netns);
    using rt = RtNetlink.open(ns);
    rt.setLink(1, { up: true });
    const wanted = (pod.spec?.securityContext?.sysctls ?? []).map(({ name, value }): [string, string] => [name, value]);
    for (const [name, value] of [...defaults, ...wanted]) {
      if (!name.startsWith('net.'))
        throw new Error(`sysctl "${name}" is not one of the network namespace; the lab sets only net.*`);
      writeSysctl(ns, name.replaceAll('.', '/'), value);
    }
    const { result, raw } = await cni.add(target);
    if (result.ips.length === 0) throw new Error('the CNI result has no addresses');
    const podIPs = result.ips.map(({ address }) => address.split('/')[0]!);
    return { podIPs, cniResult: raw, ...asked };
  } catch (error) {
    // The first failure is what counts; what DEL could not undo now, GC does at the next start.
    await cni.delete(target, undefined).catch(() => {});
    NetNs.remove(record.netns);
    throw error;
  }
}

/** DEL, then the namespace. Absent is success. @throws when the plugin refuses: call it again */
export async function removeSandbox(record: PodRecord, cni: Cni): Promise<void> {
  if (record.hostNetwork) return;
  await cni.delete(targetOf(record), record.cniResult);
  NetNs.remove(record.netns);
}
