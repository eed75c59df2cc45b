import { type Api, isAlreadyExists, isNotFound } from '../../kube/api.ts';
import { conditionOf, kubeMicroTime, withCondition } from '../../kube/objects.ts';
import { Leases, Nodes } from '../../kube/resources.ts';
import type { Node, NodeCondition } from '../../kube/types.ts';
import type { RunnerConfig } from '../config.ts';
import { nodeObject, statusOf } from './node-object.ts';

const leaseNamespace = 'kube-node-lease';
const leaseSeconds = 40;

/** The node in the API: made at the start, its status kept true, its Lease renewed. */
export class Registration {
  readonly #api: Api;
  readonly #config: RunnerConfig;
  /** Why the network is not ready; undefined: it is. */
  #fault: string | undefined;

  constructor(api: Api, config: RunnerConfig) {
    this.#api = api;
    this.#config = config;
  }

  /** Creates the node, or posts the status of the one that is there. */
  async register(fault: string | undefined): Promise<void> {
    this.#fault = fault;
    try {
      await this.#api.create(Nodes, nodeObject(this.#config, fault, Date.now()));
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const { labels } = nodeObject(this.#config, fault, Date.now()).metadata;
      await this.#api.patch(Nodes, this.#config.nodeName, undefined, { metadata: { labels } }, 'merge');
      await this.#post();
    }
  }

  async setFault(fault: string | undefined): Promise<void> {
    if (fault === this.#fault) return;
    this.#fault = fault;
    await this.#post();
  }

  /** The node as it was last seen: another process (the node controller) sets it Unknown when it was silent for too long. */
  async seen(node: Node): Promise<void> {
    const ready = conditionOf(node.status?.conditions, 'Ready')?.status;
    if (ready !== (this.#fault === undefined ? 'True' : 'False')) await this.#post();
  }

  async #post(): Promise<void> {
    const node = await this.#api.get(Nodes, this.#config.nodeName);
    const status = statusOf(this.#config, this.#fault, Date.now());
    let conditions: NodeCondition[] = node.status?.conditions ?? [];
    for (const condition of status.conditions ?? [])
      conditions = withCondition(conditions, condition, condition.lastTransitionTime ?? '');
    await this.#api.patch(Nodes, this.#config.nodeName, undefined, { status: { ...status, conditions } }, 'merge', {
      subresource: 'status',
    });
  }

  /** KEP-589: the heartbeat. */
  async renew(): Promise<void> {
    const renewTime = kubeMicroTime(Date.now());
    try {
      await this.#api.patch(Leases, this.#config.nodeName, leaseNamespace, { spec: { renewTime } }, 'merge');
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#api.create(Leases, {
        metadata: { name: this.#config.nodeName, namespace: leaseNamespace },
        spec: { holderIdentity: this.#config.nodeName, leaseDurationSeconds: leaseSeconds, renewTime },
      });
    }
  }
}
