import { conditionOf, isDeleting, kubeTime, withCondition } from '../../kube/objects.ts';
import { IPAddresses, ServiceCIDRs } from '../../kube/resources.ts';
import type { Condition, ServiceCIDR } from '../../kube/types.ts';
import { type Context, controller, type Running } from '../context.ts';
import { cidrFinalizer, orphansOf } from './ranges.ts';

const ready = { type: 'Ready', status: 'True', reason: '', message: 'Kubernetes Service CIDR is ready' };
const terminating = {
  type: 'Ready',
  status: 'False',
  reason: 'Terminating',
  message: 'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR',
};

/** ServiceCIDRs are Ready from the start, and go only when no address in use would be left without a range (IP1). */
export function serviceCidrController(context: Context): Running {
  const { api, informers, now } = context;
  const cidrs = informers.of(ServiceCIDRs);
  const addresses = informers.of(IPAddresses);
  const running = controller(context, {
    name: 'service-cidr-controller',
    informers: [cidrs, addresses],
    work: async (name) => {
      const cidr = cidrs.get(name);
      if (!cidr) return;
      const hasFinalizer = cidr.metadata.finalizers?.includes(cidrFinalizer) ?? false;
      if (!isDeleting(cidr)) {
        const kept = hasFinalizer ? cidr : await patchFinalizers(cidr, [...(cidr.metadata.finalizers ?? []), cidrFinalizer]);
        await setReady(kept, ready);
      } else if (hasFinalizer) {
        if (orphansOf(cidr, cidrs.list(), addresses.list()).length > 0) await setReady(cidr, terminating);
        else
          await patchFinalizers(
            cidr,
            cidr.metadata.finalizers!.filter((one) => one !== cidrFinalizer),
          );
      }
    },
  });
  const { queue } = running;

  async function patchFinalizers({ metadata }: ServiceCIDR, finalizers: string[]): Promise<ServiceCIDR> {
    const body = { metadata: { finalizers, resourceVersion: metadata.resourceVersion } };
    const written = await api.patch(ServiceCIDRs, metadata.name, undefined, body, 'merge');
    await cidrs.hasSeen(written.metadata.resourceVersion);
    return written;
  }

  async function setReady(cidr: ServiceCIDR, condition: typeof ready): Promise<void> {
    const before = conditionOf(cidr.status?.conditions, 'Ready');
    if (before?.status === condition.status && before.reason === condition.reason) return;
    const told = { ...condition, lastTransitionTime: kubeTime(now()) };
    const conditions = withCondition<Condition>(cidr.status?.conditions, told, told.lastTransitionTime);
    const written = await api.update(
      ServiceCIDRs,
      { ...cidr, status: { ...cidr.status, conditions } },
      { subresource: 'status' },
    );
    await cidrs.hasSeen(written.metadata.resourceVersion);
  }

  const allThatGo = (): void => {
    for (const cidr of cidrs.list()) if (isDeleting(cidr)) queue.add(cidr.metadata.name);
  };
  const offs = [
    cidrs.onChange((changes) => {
      for (const { key } of changes) queue.add(key);
      // One that came may cover what another one could not leave.
      allThatGo();
    }),
    addresses.onChange((changes) => {
      if (changes.some(({ type }) => type === 'deleted')) allThatGo();
    }),
  ];
  return {
    ready: running.ready,
    stop() {
      for (const off of offs) off();
      running.stop();
    },
  };
}
